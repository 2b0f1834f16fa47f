# CIFAR-10, cropped at its own size and resized to 64 x 64: ENCODER is a checkpoint of
# pretrain/addp's toy config of these images, CIFAR10_DIR the folder.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/avg-pool-norm.py',
    '../../_base_/datasets/cifar10-folder_32.py',
    '../../_base_/schedules/toy-finetune_20e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=num_classes),
    backbone=dict(
        _base_.encoder,
        embed_norm=False,
        final_norm=False,
        drop_path_rate=0.0,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/addp_vit-toy_1xb64-3000i_cifar10-64px/iter_3000.pth}}',
        ),
    ),
    neck=dict(in_channels=192),
    head=dict(in_channels=192, num_classes=num_classes),
    train_cfg=None,
)

resize = dict(type='Resize', scale=64, interpolation='bicubic')
train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, resize)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(3, resize)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
