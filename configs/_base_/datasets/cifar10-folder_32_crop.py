# CIFAR-10 as files with labels, at 32 x 32: CIFAR10_DIR=…, which holds train/<class>/ and
# test/<class>/. Crops of images padded by 4 pixels, and flips, as in DDAE's code.
_base_ = './tiny-imagenet_64.py'

data_root = '{{$CIFAR10_DIR:data/cifar10}}'
num_classes = 10

train_pipeline = _base_.train_pipeline
train_pipeline[1].crop_size = 32

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root=data_root,
        data_prefix='test',
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader
