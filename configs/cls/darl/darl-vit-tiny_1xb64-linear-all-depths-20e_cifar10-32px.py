# A linear evaluation of all depths that two CPU cores train in minutes: ENCODER is a checkpoint of
# pretrain/darl's small configs at 32 x 32, CIFAR10_DIR the folder. The peak learning rate is table
# 13's, the batch is not.
_base_ = [
    '../../_base_/models/darl-vit-l_linear-all-depths.py',
    '../../_base_/datasets/cifar10-folder_32.py',
    '../../_base_/schedules/darl-linear-probe_90e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=32,
        patch_size=4,
        frozen_stages=4,
        out_indices=list(range(4)),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-mse_vit-tiny_1xb64-3000i_cifar10-32px/iter_3000.pth}}',
        ),
    ),
    head=dict(
        num_depths=4,
        neck=dict(in_channels=192),
        head=dict(in_channels=192, num_classes=num_classes),
    ),
)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='LARS', lr=0.1, momentum=0.9, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={'fc.bias': dict(lars_exclude=True)}),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=0.01, end=2)
param_scheduler[1].update(begin=2, end=20)
train_cfg = dict(max_epochs=20)
auto_scale_lr = dict(base_batch_size=64)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
