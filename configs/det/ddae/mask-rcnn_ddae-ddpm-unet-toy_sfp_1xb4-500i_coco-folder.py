# A toy encoder from scratch, at 128 x 128 pixels.
_base_ = [
    '../../_base_/heads/mask-rcnn_sfp_toy.py',
    '../../_base_/datasets/coco-folder_128.py',
    '../../_base_/schedules/det-toy_500i.py',
]

num_classes = len(_base_.classes)

model = dict(
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        pad_size_divisor=128,
    ),
    backbone=dict(
        type='mmaddp.DDAEUNet',
        base_channels=32,
        channel_multipliers=(1, 2, 2),
        out_blocks=('out_6', 'out_3'),
        time=0.011,
        process=dict(type='mmaddp.DDPM'),
        attention_window=16,
    ),
    neck=dict(in_channels=64, scale_factors=(1.0, 1.0, 0.5, 0.25), in_indices=(0, 1, 1, 1)),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)
