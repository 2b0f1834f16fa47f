# Pixio's linear depth on NYU: evaluation/monodepth/configs/nyuv2_linear.yaml and
# evaluation/eval_monodepth.py, 8 x 4 images, 60 epochs of 757 steps. Images are cut to Eigen's
# crop.
# Pixio also appends the averaged class tokens to each patch, which the maps here do not have.
_base_ = ['../datasets/nyu_416x544.py', '../runtimes/seg.py']

crop_size = (256, 256)
eigen_crop = dict(type='mmaddp.CropBox', box=(41, 45, 601, 471))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadDepthAnnotation', depth_rescale_factor=1e-3),
    eigen_crop,
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadDepthAnnotation', depth_rescale_factor=1e-3),
    eigen_crop,
    dict(type='PackSegInputs', meta_keys=_base_.meta_keys),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    type='mmaddp.GridProbe',
    # A single output: max_depth * sigmoid.
    head=dict(
        type='mmaddp.LinearDepth',
        min_depth=0.001,
        max_depth=10.0,
        num_bins=1,
        batch_norm=True,
        variance_focus=0.5,
        gradient_weight=0.0,
        warmup=0,
        init_std=None,
        align_corners=True,
    ),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(170, 170)),
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=crop_size, pad_val=0, test_cfg=dict(size_divisor=16)
    ),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.01),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=4542),
    dict(type='PolyLR', eta_min=0.0, power=0.9, by_epoch=False, begin=4542, end=45420),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=45420, val_interval=4542)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=4542, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=32)

val_evaluator = dict(
    _delete_=True,
    type='mmaddp.NamedDepth',
    min_depth_eval=0.001,
    max_depth_eval=10.0,
    crop_type=None,
)
test_evaluator = val_evaluator
