# ViTDet's published recipe for COCO (64 images a step, 100 epochs), without gradient clipping, in
# float16. It replaces ADDP's table 18, which was not available. The paper says it follows ViTDet.
_base_ = '../runtimes/det.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.7),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, milestones=[163889, 177546], gamma=0.1),
]

# 184,375 = 25 x 7,375: the last step is evaluated.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=184375, val_interval=7375)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=7375)
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=64)
