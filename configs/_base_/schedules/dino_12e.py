# DINO's 12 epochs with the numbers of MMDetection's dino-5scale_swin-l_8xb2-12e_coco, 16 images a
# step, counted in steps. There the backbone learns at a tenth of the rate; here its layers decay as
# in ViTDet.
_base_ = '../runtimes/det.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.7),
    clip_grad=dict(max_norm=0.1, norm_type=2),
)

param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[81125], gamma=0.1)]

# An epoch has 7,375 steps.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=88500, val_interval=7375)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=7375)
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=16)
