# ImageNet-1k at 224 x 224 with RandAugment 9/0.5 (timm's rand-m9-mstd0.5-inc1) and no erasing:
# DARL's tables 9 and 10. Testing crops 224 out of a short side of 256, as MAE does.
_base_ = './imagenet_256_randaug-6.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 224
train_pipeline[3].magnitude_level = 9
test_pipeline = _base_.test_pipeline
test_pipeline[2].crop_size = 224

train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=128, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
