# DDAE's linear probing for toy encoders on a CPU, where the encoder pass dominates: fewer
# images at a higher rate. Both numbers are this project's.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-3))

param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=True, begin=0, end=4, T_max=4)
]

train_cfg = dict(by_epoch=True, max_epochs=4, val_interval=4)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=32)
