# The same at 128 x 128 with patches of 16, the size of the small detectors and segmentors.
_base_ = './darl-mse_vit-tiny_1xb64-3000i_image-folder-64px.py'

model = dict(backbone=dict(img_size=128, patch_size=16))
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 128
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
