# Toy linear evaluation on a CPU. The peak learning rate is table 16's 6.4, scaled from 16,384
# images a step to 64.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='LARS', lr=0.025, momentum=0.9, weight_decay=0.0),
    # As in MAE's LARS, biases have no trust ratio.
    paramwise_cfg=dict(custom_keys={'bias': dict(lars_exclude=True)}),
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        begin=2,
        end=20,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=5)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=5))
auto_scale_lr = dict(base_batch_size=64)
