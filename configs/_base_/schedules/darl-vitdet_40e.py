# DARL's table 11: 73,920 steps of 64 images (40 epochs), learning rate 7.5e-4, layer decay 0.85,
# 256 steps of warm-up, then a cosine; averages of the weights are evaluated (EMA 0.9998). The table
# does not give the end of the cosine: 0. The start of the warm-up is ViTDet's.
_base_ = '../runtimes/det.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=7.5e-4, betas=(0.9, 0.999), weight_decay=0.1),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.85),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=256),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=256, end=73920),
]

# 73,920 = 10 x 7,392: the last step is evaluated.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=73920, val_interval=7392)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# MMEngine's momentum is the weight of the new value.
custom_hooks = [dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=2e-4)]
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=7392)
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=64)
