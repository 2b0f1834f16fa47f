# DINOv3's linear depth on NYU: dinov3/eval/depth/configs/config-nyu.yaml, 8 x 2 images. Its
# schedule sets the first moment's decay to 0 during the warm-up, and to 0.85 to 0.95 after it. Here
# it is 0.9.
_base_ = ['../datasets/nyu_416x544.py', '../runtimes/seg.py']

model = dict(
    type='mmaddp.GridProbe',
    head=dict(
        type='mmaddp.LinearDepth',
        min_depth=0.001,
        max_depth=10.0,
        num_bins=256,
        batch_norm=True,
        variance_focus=0.85,
        gradient_weight=0.0,
        warmup=100,
        init_std=0.01,
    ),
    test_cfg=dict(mode='whole', flip=True),
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(416, 544), pad_val=0, test_cfg=dict(size_divisor=16)
    ),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-4, betas=(0.9, 0.99), weight_decay=1e-4),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
    # Each head by itself.
    clip_grad=dict(max_norm=35, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=12800),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0, end=38400, T_max=38400),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=38400, val_interval=1600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=1600, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=16)

val_evaluator = dict(
    _delete_=True,
    type='mmaddp.NamedDepth',
    min_depth_eval=0.001,
    max_depth_eval=10.0,
    crop_type='nyu_crop',
)
test_evaluator = val_evaluator
