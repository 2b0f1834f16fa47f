# Common settings of the recipes that follow MAE: AdamW, 4,096 images a step, 40 epochs of warm-up,
# a cosine to 0, and no weight decay on norms, biases and other one-dimensional parameters.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.05),
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
        convert_to_iter_based=True,
    ),
]

auto_scale_lr = dict(base_batch_size=4096)
