# The zoo's DARL encoder under Mask R-CNN, at 128 x 128 pixels. From scratch:
# --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/heads/mask-rcnn_sfp_toy.py',
    '../../_base_/datasets/coco-folder_128.py',
    '../../_base_/schedules/det-toy_500i.py',
]

num_classes = len(_base_.classes)

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        pad_size_divisor=128,
    ),
    backbone=dict(
        type='mmaddp.DARLViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=_base_.image_size[0],
        patch_size=8,
        with_start_token=False,
        out_indices=(1,),  # the second of four blocks transfers better than the last
        final_norm=False,
        init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:zoo://darl-toy}}'),
    ),
    neck=dict(in_channels=192),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)
