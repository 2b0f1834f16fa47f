# One's own images with segmentation maps as in seg-folder_512x512.py, small enough for CPUs.
_base_ = './seg-folder_512x512.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (480, 360)
train_pipeline[3].crop_size = (224, 224)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (480, 360)

train_dataloader = dict(batch_size=8, num_workers=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
