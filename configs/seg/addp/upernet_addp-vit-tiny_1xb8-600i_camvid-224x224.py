# Everything small, so that two CPU cores train it in minutes: from scratch, 600 steps.
_base_ = [
    '../../_base_/models/upernet_vit-b.py',
    '../../_base_/datasets/camvid_224x224.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

norm_cfg = dict(type='BN', requires_grad=True)

model = dict(
    data_preprocessor=dict(size=(224, 224), test_cfg=dict(size_divisor=16)),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=224,
        drop_path_rate=0.0,
        out_indices=(0, 1, 2, 3),
    ),
    neck=dict(embed_dim=192, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=[192, 192, 192, 192], channels=64, num_classes=11, norm_cfg=norm_cfg
    ),
    auxiliary_head=dict(in_channels=192, channels=64, num_classes=11, norm_cfg=norm_cfg),
    test_cfg=dict(_delete_=True, mode='whole'),
)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    # From scratch, unless model.backbone.init_cfg names an encoder: all layers learn alike.
    paramwise_cfg=dict(layer_decay_rate=1.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=50, end=600, by_epoch=False),
]
train_cfg = dict(max_iters=600, val_interval=600)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=300))
auto_scale_lr = dict(base_batch_size=8)
