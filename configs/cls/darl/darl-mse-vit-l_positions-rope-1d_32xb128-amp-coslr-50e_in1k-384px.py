# Table 1: fine-tuned at 384 x 384, where rotary positions are interpolated.
_base_ = './darl-mse-vit-l_positions-rope-1d_32xb128-amp-coslr-50e_in1k-224px.py'

model = dict(backbone=dict(img_size=384, pretrain_img_size=224))

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 384
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_pipeline[2].crop_size = 384
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
