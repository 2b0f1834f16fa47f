# Pixio's linear segmentation of ADE20K: evaluation/semseg/configs/ade20k_linear.yaml and
# evaluation/eval_semseg.py, 8 x 2 images, 60 epochs of 1,263 steps. Images keep their own size, in
# training times 0.5 to 2. Pixio resizes them by bicubic interpolation. It also appends the averaged
# class tokens to each patch, which the maps here do not have.
_base_ = ['../datasets/ade20k_512x512.py', '../runtimes/seg.py']

crop_size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='mmaddp.RandomScale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    type='mmaddp.GridProbe',
    head=dict(
        type='mmaddp.LinearSegmentation',
        num_classes=150,
        batch_norm=True,
        init_std=None,
        avg_non_ignore=True,
        align_corners=True,
    ),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(170, 170), softmax=True),
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        size=crop_size,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=16),
    ),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.01),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, by_epoch=False, begin=0, end=75780)]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=75780, val_interval=7578)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=7578, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=16)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedIoU')
test_evaluator = val_evaluator
