# CIFAR-10's training images for encoders of 128 x 128, without labels: crops at the images' own
# size, then resizing.
_base_ = './cifar10-folder_32_pretrain.py'

train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, dict(type='Resize', scale=128, interpolation='bicubic'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
