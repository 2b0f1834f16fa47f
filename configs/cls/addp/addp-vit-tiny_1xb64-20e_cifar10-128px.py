# CIFAR-10 at 128 x 128 by the recipe of DARL's small encoder, that two CPU cores train in minutes:
# ENCODER is a checkpoint of pretrain/addp's small config of these images, CIFAR10_DIR the folder.
_base_ = [
    '../../_base_/models/vit-b_avg-pool.py',
    '../../_base_/datasets/cifar10-folder_128.py',
    '../../_base_/schedules/darl-finetune_90e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=128,
        drop_path_rate=0.0,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/addp_vit-tiny_1xb64-3000i_cifar10-128px/iter_3000.pth}}',
        ),
    ),
    neck=dict(in_channels=192),
    head=dict(in_channels=192, num_classes=num_classes),
    train_cfg=None,
)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=0.01, end=2)
param_scheduler[1].update(begin=2, end=20, eta_min_ratio=1e-3)
train_cfg = dict(max_epochs=20, val_interval=5)
auto_scale_lr = dict(base_batch_size=64)
