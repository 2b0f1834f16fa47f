# Toy pre-training on your own images on a CPU. Learning rate, warm-up and length are not a
# paper's.
_base_ = '../runtimes/pretrain.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=dict(max_norm=3.0),
    constructor='mmaddp.WeightDecayOptimWrapperConstructor',
    paramwise_cfg=dict(flat_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=50, end=1000),
]
train_cfg = dict(by_epoch=False, max_iters=1000)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=250)
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=32)
