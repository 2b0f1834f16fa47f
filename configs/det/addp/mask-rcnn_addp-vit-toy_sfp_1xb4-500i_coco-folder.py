# The zoo's ADDP encoder under Mask R-CNN, at 128 x 128 pixels. From scratch:
# --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/mask-rcnn_sfp_toy.py',
    '../../_base_/datasets/coco-folder_128.py',
    '../../_base_/schedules/det-toy_500i.py',
]

num_classes = len(_base_.classes)

model = dict(
    data_preprocessor=dict(_base_.pixel_values, pad_size_divisor=128),
    backbone=dict(
        _base_.encoder,
        img_size=128,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        window_size=8,
        global_attn_indexes=(1, 3),
        use_rel_pos=True,
    ),
    neck=dict(in_channels=192),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)
