_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/heads/mask-rcnn_sfp.py',
    '../../_base_/datasets/coco-folder_lsj-1024.py',
    '../../_base_/schedules/coco-folder_36e.py',
]

num_classes = len(_base_.classes)

# Windows and global blocks as in ViTDet, where the network is a plain ViT that allows them.
model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(_base_.backbone, window_size=14, norm='none'),
    neck=dict(type='auto', out_channels=256),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)

train_dataloader = dict(batch_size=2)
