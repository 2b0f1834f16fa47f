# DARL's table 8: base learning rate 1.5e-4 times 4096 / 256, 40 epochs of warm-up. What the table
# leaves open is MAE's, whose recipe the text follows: the rate falls to 0, no gradient is clipped,
# and norms, biases and other one-dimensional parameters do not decay. The precision is this
# project's.
_base_ = '../runtimes/darl.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=2.4e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='mmaddp.WeightDecayOptimWrapperConstructor',
    paramwise_cfg=dict(flat_decay_mult=0.0),
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=40,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        begin=40,
        end=800,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=800)
auto_scale_lr = dict(base_batch_size=4096)
