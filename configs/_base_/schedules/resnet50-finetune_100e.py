# Table 17, 100 epochs. Norms and biases decay as the rest: the authors' script gives AdamW all
# parameters alike. It passes no weight decay for ResNets, which leaves torch's 0.01; the table
# prints 0.02, and the table is followed.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=8e-3, betas=(0.9, 0.999), weight_decay=0.02),
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=True,
        begin=5,
        end=100,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=1))
auto_scale_lr = dict(base_batch_size=2048)
