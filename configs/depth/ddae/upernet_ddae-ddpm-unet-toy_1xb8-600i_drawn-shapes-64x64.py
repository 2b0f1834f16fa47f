# A toy encoder from scratch on drawn rooms: no files needed.
_base_ = [
    '../../_base_/heads/upernet_depth_toy.py',
    '../../_base_/datasets/drawn-shapes_64x64.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

model = dict(
    data_preprocessor=dict(
        size=(64, 64),
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type='mmaddp.DDAEUNet',
        base_channels=32,
        channel_multipliers=(1, 2, 2),
        out_blocks=('out_6', 'out_3'),
        time=0.011,
        process=dict(type='mmaddp.DDPM'),
        attention_window=16,
    ),
    neck=dict(
        type='mmaddp.SimpleFeaturePyramid',
        in_channels=64,
        out_channels=64,
        num_outs=4,
        scale_factors=(1.0, 1.0, 0.5, 0.25),
        in_indices=(0, 1, 1, 1),
    ),
    decode_head=dict(in_channels=4 * [64]),
)
