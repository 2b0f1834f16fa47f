# CIFAR-10's training images as files, at 32 x 32 and without labels: CIFAR10_DIR=…, which holds
# train/<class>/ and test/<class>/. Crops cover at least half of the area because images are small.
_base_ = './image-folder_64_pretrain.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=32, crop_ratio_range=(0.5, 1.0))
train_dataloader = dict(
    dataset=dict(
        data_root='{{$CIFAR10_DIR:data/cifar10_subset}}',
        data_prefix='train',
        pipeline=train_pipeline,
    ),
)
