# CIFAR-10 as files, at 32 x 32: CIFAR10_DIR=…, which holds train/<class>/ and test/<class>/.
_base_ = './image-folder_64.py'

data_root = '{{$CIFAR10_DIR:data/cifar10_subset}}'
num_classes = 10

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 32
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_pipeline[2].crop_size = 32

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
