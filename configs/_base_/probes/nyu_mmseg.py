# MMSegmentation's recipe for NYU (nyu.py, schedule_25k.py of VPD): 480 x 480 crops, 3 x 8 images,
# AdamW, and its scale-invariant loss. MMSegmentation's brightness, gamma and hue of albumentations
# and its mixing of depth into images are left out.
_base_ = ['../datasets/nyu_416x544.py', '../runtimes/seg.py']

crop_size = (480, 480)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadDepthAnnotation', depth_rescale_factor=1e-3),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))

model = dict(
    type='mmaddp.GridProbe',
    head=dict(
        type='mmaddp.LinearDepth',
        max_depth=10.0,
        num_bins=1,
        batch_norm=True,
        variance_focus=0.5,
        gradient_weight=0.0,
        warmup=0,
    ),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(160, 160), flip=True),
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=crop_size, pad_val=0, test_cfg=dict(size_divisor=16)
    ),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=3e-2, by_epoch=False, begin=0, end=12000),
    dict(type='PolyLRRatio', eta_min_ratio=3e-2, power=0.9, by_epoch=False, begin=12000, end=24000),
    dict(type='ConstantLR', factor=1, by_epoch=False, begin=24000, end=25000),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=25000, val_interval=1000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=24)

val_evaluator = dict(
    _delete_=True,
    type='mmaddp.NamedDepth',
    min_depth_eval=0.001,
    max_depth_eval=10.0,
    crop_type='nyu_crop',
)
test_evaluator = val_evaluator
