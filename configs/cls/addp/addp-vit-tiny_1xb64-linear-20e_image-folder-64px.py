# A linear probe of the same size. The peak learning rate is table 16's, scaled from its 16,384
# images to 64.
_base_ = [
    '../../_base_/models/vit-b_linear-probe.py',
    '../../_base_/datasets/image-folder_64.py',
    '../../_base_/schedules/linear-probe_90e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=64,
        patch_size=8,
        frozen_stages=4,
    ),
    neck=dict(in_channels=192),
    head=dict(in_channels=192, num_classes=num_classes),
)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='LARS', lr=0.025, momentum=0.9, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={'head.fc.bias': dict(lars_exclude=True)}),
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
        eta_min=0.0,
        by_epoch=True,
        begin=2,
        end=20,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=20, val_interval=5)
auto_scale_lr = dict(base_batch_size=64)
