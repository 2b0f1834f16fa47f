# The zoo's ADDP encoder under UperNet, on your own images. From scratch:
# --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/upernet_toy.py',
    '../../_base_/datasets/seg-folder_112x112.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

num_classes = len(_base_.classes)

model = dict(
    data_preprocessor=dict(_base_.pixel_values, size=(112, 112), test_cfg=dict(size_divisor=8)),
    backbone=dict(
        _base_.encoder,
        img_size=112,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        use_rel_pos=True,
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
