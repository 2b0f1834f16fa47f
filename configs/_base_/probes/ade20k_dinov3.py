# DINOv3's linear segmentation of ADE20K: dinov3/eval/segmentation/configs/
# config-ade20k-linear-training.yaml and its defaults, 8 x 2 images. Its one-cycle schedule decays
# linearly instead of by the cosine during the warm-up, which differs by up to 4 %.
_base_ = ['../datasets/ade20k_512x512.py', '../runtimes/seg.py']

model = dict(
    type='mmaddp.GridProbe',
    head=dict(
        type='mmaddp.LinearSegmentation',
        num_classes=150,
        batch_norm=True,
        dropout=0.1,
        init_std=0.01,
        avg_non_ignore=True,
    ),
    # Overlapping windows average probabilities.
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341), softmax=True),
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
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=1e-3),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0, end=40000, T_max=40000),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=5000, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=16)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedIoU')
test_evaluator = val_evaluator
