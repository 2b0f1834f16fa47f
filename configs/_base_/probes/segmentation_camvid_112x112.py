# Linear segmentation of CamVid at half size, for encoders of 8 x 8 patches, in minutes on a CPU.
_base_ = ['../datasets/camvid_112x112.py', '../runtimes/seg.py']

model = dict(
    type='mmaddp.GridProbe',
    head=dict(type='mmaddp.LinearSegmentation', num_classes=11),
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        size=(112, 112),
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=16),
    ),
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedIoU')
test_evaluator = val_evaluator

# 300 steps of 8 images and a cosine to 0: this project's numbers.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-2, betas=(0.9, 0.999), weight_decay=1e-3),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0, end=300, T_max=300),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=300, val_interval=300)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=8)
