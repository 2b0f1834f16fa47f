# DINOv2's linear depth on NYU ("lin. 1"; join four layers by '+' for "lin. 4"): the published
# configs dinov2_vits14_kitti_linear and dinov2_vitl14_nyu_dpt of the depth heads, whose schedules
# agree, 8 x 2 images. Its gradient loss takes differences over the wrong dimensions, where there
# are none. Ours is the one that DINOv3 mended. It also appends the class token to each patch, which
# the maps here do not have.
_base_ = ['../datasets/nyu_416x544.py', '../runtimes/seg.py']

model = dict(
    type='mmaddp.GridProbe',
    head=dict(
        type='mmaddp.LinearDepth',
        min_depth=0.001,
        max_depth=10.0,
        num_bins=256,
        batch_norm=False,
        upsample=4,
        variance_focus=0.85,
        gradient_weight=0.5,
        warmup=100,
        init_std=None,
    ),
    test_cfg=dict(mode='whole', flip=True),
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(416, 544), pad_val=0, test_cfg=dict(size_divisor=16)
    ),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.95, 0.999), weight_decay=0.01),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
    # Each head by itself.
    clip_grad=dict(max_norm=35, norm_type=2),
)
# The first moment's decay goes from 0.95 to 0.85 and back, as MMCV's one-cycle hook has it.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=12800),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0, end=38400, T_max=38400),
    dict(
        type='CosineAnnealingMomentum',
        eta_min=0.85,
        by_epoch=False,
        begin=0,
        end=11520,
        T_max=11520,
    ),
    dict(
        type='CosineAnnealingMomentum',
        eta_min=0.95,
        by_epoch=False,
        begin=11520,
        end=38400,
        T_max=26880,
    ),
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
