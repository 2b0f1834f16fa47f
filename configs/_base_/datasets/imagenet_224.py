# ImageNet-1k at 224 x 224: random resized crops (0.08 to 1) and flips; testing crops 224 out of a
# short side of 256, as MAE does.
_base_ = './imagenet_256.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 224
test_pipeline = _base_.test_pipeline
test_pipeline[2].crop_size = 224

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
