# At 192 x 192 pixels, a few minutes on a CPU.
_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/heads/mask-rcnn_sfp_toy.py',
    '../../_base_/datasets/coco-folder_192.py',
    '../../_base_/schedules/det-toy_500i.py',
]

num_classes = len(_base_.classes)

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(_base_.backbone, model='{{$ENCODER:timm:vit_tiny_patch16_224}}', norm='none'),
    neck=dict(type='auto'),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)
