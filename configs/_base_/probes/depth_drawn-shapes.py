# Linear depth on drawn rooms, in minutes on a CPU, with DINOv2's losses and a quarter of its bins.
_base_ = ['../datasets/drawn-shapes_64x64.py', '../runtimes/seg.py']

model = dict(
    type='mmaddp.GridProbe',
    head=dict(
        type='mmaddp.LinearDepth', min_depth=0.001, max_depth=10.0, num_bins=64, batch_norm=True
    ),
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(64, 64), pad_val=0, test_cfg=dict(size_divisor=16)
    ),
)

val_evaluator = dict(
    _delete_=True, type='mmaddp.NamedDepth', min_depth_eval=0.001, max_depth_eval=10.0
)
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
