# The zoo's ADDP encoder under DPT, on drawn rooms. It needs no files. From scratch:
# --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/dpt_depth_toy.py',
    '../../_base_/datasets/drawn-shapes_64x64.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

model = dict(
    data_preprocessor=dict(_base_.pixel_values, size=(64, 64), test_cfg=dict(size_divisor=32)),
    backbone=dict(
        _base_.encoder,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        use_rel_pos=True,
        out_indices=(0, 1, 2, 3),
    ),
    decode_head=dict(in_channels=4 * [192], embed_dims=192),
)
