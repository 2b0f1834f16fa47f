# ImageNet-1k at 224 x 224 for pre-training: DARL's "spatial" augmentation, random crops and flips
# (table 8), of which no numbers are told. MAE's stand in: crops of 0.2 to 1 of the area, bicubic.
_base_ = './imagenet_256_pretrain.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 224
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
