# The zoo's ADDP encoder under Faster R-CNN, at 128 x 128 pixels, for data with boxes alone. From
# scratch: --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/heads/mask-rcnn_sfp_toy.py',
    '../../_base_/datasets/coco-folder_128.py',
    '../../_base_/schedules/det-toy_500i.py',
]

model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], pad_size_divisor=128
    ),
    backbone=dict(
        type='mmaddp.ADDPViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=_base_.image_size[0],
        patch_size=8,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        window_size=8,
        global_attn_indexes=(1, 3),
        use_rel_pos=True,
        init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:zoo://addp-toy}}'),
    ),
    neck=dict(in_channels=192),
    roi_head=dict(
        bbox_head=dict(num_classes=len(_base_.classes)), mask_roi_extractor=None, mask_head=None
    ),
)

# Boxes alone: no masks are read, and none are evaluated.
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1] = test_pipeline[2] = dict(type='LoadAnnotations', with_bbox=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = test_evaluator = dict(metric='bbox')
