# coco-folder_192.py at 128 x 128, for encoders of 8 x 8 patches.
_base_ = './coco-folder_192.py'
image_size = (128, 128)

train_pipeline = _base_.train_pipeline
train_pipeline[3].scale = image_size
train_pipeline[4].crop_size = image_size
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = image_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
