# A toy encoder from scratch.
_base_ = [
    '../../_base_/heads/upernet_toy.py',
    '../../_base_/datasets/camvid_112x112.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

model = dict(
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        size=(112, 112),
        test_cfg=dict(size_divisor=16),
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
    decode_head=dict(in_channels=4 * [64], num_classes=11),
    auxiliary_head=dict(in_channels=64, num_classes=11),
)
