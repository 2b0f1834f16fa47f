# The zoo's DARL encoder under DPT, on drawn rooms. It needs no files. From scratch:
# --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/heads/dpt_depth_toy.py',
    '../../_base_/datasets/drawn-shapes_64x64.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

model = dict(
    data_preprocessor=dict(
        size=(64, 64),
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type='mmaddp.DARLViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=64,
        patch_size=8,
        final_norm=False,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:zoo://darl-toy}}'),
    ),
    decode_head=dict(in_channels=4 * [192], embed_dims=192),
)
