# Table 16: LARS, peak learning rate 6.4 at 16,384 images a step, 10 of 90 epochs of warm-up.
# Momentum 0.9 and no weight decay are MAE's. As in MAE's LARS, only matrices have their step scaled
# by their norm: a bias that starts near zero would hardly move.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='LARS', lr=6.4, momentum=0.9, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={'bias': dict(lars_exclude=True)}),
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        begin=10,
        end=90,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=90, val_interval=5)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=5))
auto_scale_lr = dict(base_batch_size=16384)
