# All images of your own folder and its subfolders at 64 x 64, without labels: IMAGE_DIR=….
_base_ = './image-folder_128_pretrain.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 64
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
