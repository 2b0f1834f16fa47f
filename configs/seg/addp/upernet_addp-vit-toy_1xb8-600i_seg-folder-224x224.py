# A toy encoder from scratch, on one's own images.
_base_ = [
    '../../_base_/heads/upernet_toy.py',
    '../../_base_/datasets/seg-folder_224x224.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

num_classes = len(_base_.classes)

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        test_cfg=dict(size_divisor=16),
    ),
    backbone=dict(
        type='mmaddp.ADDPViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=224,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        use_rel_pos=True,
        drop_path_rate=0.0,
        out_indices=(0, 1, 2, 3),
    ),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=192,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=_base_.norm_cfg,
    ),
    decode_head=dict(in_channels=4 * [192], num_classes=num_classes),
    auxiliary_head=dict(in_channels=192, num_classes=num_classes),
)
