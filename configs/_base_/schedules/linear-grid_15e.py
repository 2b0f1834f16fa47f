# DDAE's linear probing, as its authors' code has it: Adam at 1e-3 for 128 images a step, a cosine
# to 0 by epoch over 15 epochs (30 for DiT), no warm-up, no weight decay; with N GPUs of 128 images
# the rate is N times as high (--auto-scale-lr). No norm precedes the linear layers.
# Gradients must not be clipped, since the clipping would couple the heads.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))

param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=True, begin=0, end=15, T_max=15)
]

train_cfg = dict(by_epoch=True, max_epochs=15, val_interval=15)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=128)
