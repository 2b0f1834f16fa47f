# CIFAR-10 for encoders of 128 x 128: crops and flips at the images' own size, then resizing.
_base_ = './cifar10-folder_32.py'

resize = dict(type='Resize', scale=128, interpolation='bicubic')

train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, resize)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(3, resize)

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
