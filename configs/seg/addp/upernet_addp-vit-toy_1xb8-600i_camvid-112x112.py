# The zoo's ADDP encoder under UperNet. From scratch: --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/heads/upernet_toy.py',
    '../../_base_/datasets/camvid_112x112.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        size=(112, 112),
        test_cfg=dict(size_divisor=8),
    ),
    backbone=dict(
        type='mmaddp.ADDPViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=112,
        patch_size=8,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        use_rel_pos=True,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:zoo://addp-toy}}'),
    ),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=192,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=_base_.norm_cfg,
    ),
    decode_head=dict(in_channels=4 * [192], num_classes=11),
    auxiliary_head=dict(in_channels=192, num_classes=11),
)
