# Everything small, so that two CPU cores train it in minutes, from scratch unless
# model.backbone.init_cfg names an encoder of this size.
_base_ = [
    '../../_base_/models/vit-b_avg-pool.py',
    '../../_base_/datasets/image-folder_64.py',
    '../../_base_/schedules/vit-finetune_100e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=64,
        patch_size=8,
        drop_path_rate=0.0,
    ),
    neck=dict(in_channels=192),
    head=dict(in_channels=192, num_classes=num_classes),
)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-3,
        by_epoch=True,
        begin=2,
        end=20,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=20, val_interval=5)
auto_scale_lr = dict(base_batch_size=64)
