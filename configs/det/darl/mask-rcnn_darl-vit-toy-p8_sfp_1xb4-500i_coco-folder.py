# The zoo's DARL encoder under Mask R-CNN, at 128 x 128 pixels. From scratch:
# --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/heads/mask-rcnn_sfp_toy.py',
    '../../_base_/datasets/coco-folder_192.py',
    '../../_base_/schedules/det-toy_500i.py',
]

image_size = (128, 128)
train_pipeline = _base_.train_pipeline
train_pipeline[3].scale = image_size
train_pipeline[4].crop_size = image_size
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = image_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

num_classes = len(_base_.classes)
# Patches of 8 x 8 pixels: maps and anchors are half as large as those of 16 x 16.
strides = [2, 4, 8, 16]

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        pad_size_divisor=128,
    ),
    backbone=dict(
        type='mmaddp.DARLViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=128,
        patch_size=8,
        with_start_token=False,
        final_norm=False,
        init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:zoo://darl-toy}}'),
    ),
    neck=dict(in_channels=192),
    rpn_head=dict(anchor_generator=dict(strides=[*strides, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides),
        bbox_head=dict(num_classes=num_classes),
        mask_roi_extractor=dict(featmap_strides=strides),
        mask_head=dict(num_classes=num_classes),
    ),
)
