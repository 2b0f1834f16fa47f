# CIFAR-10 by DDAE's probing, its crops and flips before the resizing: CIFAR10_DIR names the folder.
_base_ = './addp-vit-tiny_probe_1xb32-4e_image-folder-128px.py'

data_root = '{{$CIFAR10_DIR:data/cifar10}}'
resize = dict(type='Resize', scale=128, interpolation='bicubic')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    resize,
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackInputs')]

model = dict(num_classes=10)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
