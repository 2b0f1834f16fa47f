# ImageNet-1k at 256 x 256: random resized crops (0.08 to 1) and flips. Testing keeps the whole
# short side, as ADDP's authors do above 224.
_base_ = './imagenet_224.py'

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1].scale = 256
test_pipeline[2].crop_size = 256

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
