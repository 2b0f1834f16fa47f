# The zoo's ADDP encoder at 128 x 128 pixels, under a DINO of three layers and 20 queries. From
# scratch: --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/dino.py',
    '../../_base_/datasets/coco-folder_128.py',
    '../../_base_/schedules/det-toy_500i.py',
]

model = dict(
    data_preprocessor=dict(_base_.pixel_values, pad_size_divisor=128),
    backbone=dict(
        _base_.encoder,
        img_size=_base_.image_size[0],
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        window_size=8,
        global_attn_indexes=(1, 3),
        use_rel_pos=True,
    ),
    neck=dict(in_channels=192),
    num_queries=20,
    # Channels are the base's 256: MMDetection 3.3's decoder has no other number.
    encoder=dict(num_layers=1, layer_cfg=dict(ffn_cfg=dict(feedforward_channels=128))),
    decoder=dict(num_layers=2, layer_cfg=dict(ffn_cfg=dict(feedforward_channels=128))),
    bbox_head=dict(num_classes=len(_base_.classes)),
    dn_cfg=dict(group_cfg=dict(num_dn_queries=10)),
    test_cfg=dict(max_per_img=20),
)

# Boxes alone: no masks are read, and none are evaluated.
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1] = test_pipeline[2] = dict(type='LoadAnnotations', with_bbox=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = test_evaluator = dict(metric='bbox')
