# segmentation_camvid.py at half size, 240 x 180, for encoders of 8 x 8 patches.
_base_ = './segmentation_camvid.py'
crop_size = (112, 112)
scale = (240, 180)

train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = scale
train_pipeline[3].crop_size = crop_size
test_pipeline = _base_.test_pipeline
# Labels are compared at the original size.
test_pipeline.insert(1, dict(type='Resize', scale=scale, keep_ratio=True))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(data_preprocessor=dict(size=crop_size))
