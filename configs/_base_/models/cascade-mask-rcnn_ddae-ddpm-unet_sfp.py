# The same backbone as Mask R-CNN's, under a Cascade.
_base_ = './cascade-mask-rcnn_vit-b_sfp.py'

model = dict(
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], pad_size_divisor=64
    ),
    backbone=dict(
        _delete_=True,
        type='mmaddp.DDAEUNet',
        out_blocks=('out_6', 'out_3'),
        time=0.011,
        attention_window=16,
        with_cp=True,
    ),
    neck=dict(in_channels=256, scale_factors=(1.0, 1.0, 0.5, 0.25), in_indices=(0, 1, 1, 1)),
)
