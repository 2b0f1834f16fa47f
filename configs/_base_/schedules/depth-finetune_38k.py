# Fine-tuning for depth: the steps, the warm-up and the clipping of DINOv2's depth heads, with the
# layer decay of this project's segmentors. The learning rate is theirs too.
_base_ = '../runtimes/seg.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.01),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.65),
    clip_grad=dict(max_norm=35, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=12800),
    dict(
        type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=12800, end=38400, T_max=25600
    ),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=38400, val_interval=1600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=1600)
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=16)
