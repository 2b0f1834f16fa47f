# CIFAR-10 for encoders of 256 x 256, as DDAE's authors feed DiT: crops and flips at the images' own
# size, then bilinear resizing.
_base_ = './cifar10-folder_32_crop.py'

resize = dict(type='Resize', scale=256, interpolation='bilinear', backend='pillow')

train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, resize)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(1, resize)

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
