# DINOv2's linear segmentation of ADE20K: the published dinov2_vit*14_ade20k_linear_config.py, 8 x 2
# images. A BatchNorm and a 1 x 1 convolution. DINOv2 reports the last layer.
_base_ = ['../datasets/ade20k_512x512.py', '../runtimes/seg.py']

model = dict(
    type='mmaddp.GridProbe',
    # MMSegmentation's loss averages over all pixels, ignored ones too.
    head=dict(
        type='mmaddp.LinearSegmentation',
        num_classes=150,
        batch_norm=True,
        dropout=0.0,
        init_std=0.01,
        avg_non_ignore=False,
    ),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        size=(512, 512),
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=16),
    ),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=1e-4),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
)
# MMCV's: the warm-up multiplies a decay that starts at step 0.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=0, end=40000),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=10000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=10000, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=16)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedIoU')
test_evaluator = val_evaluator
