# At 192 x 192 pixels, a few minutes on a CPU.
_base_ = [
    '../../_base_/heads/mask-rcnn_sfp_toy.py',
    '../../_base_/datasets/coco-folder_192.py',
    '../../_base_/schedules/det-toy_500i.py',
]

num_classes = len(_base_.classes)

# The file of the network's weights; random ones without it.
weights = '{{$WEIGHTS:none}}'

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        type='mmaddp.Encoder',
        model='{{$ENCODER:timm:vit_tiny_patch16_224}}',
        norm='none',
        init_cfg=dict(type='Pretrained', checkpoint=weights) if weights != 'none' else None,
    ),
    neck=dict(type='auto'),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)
