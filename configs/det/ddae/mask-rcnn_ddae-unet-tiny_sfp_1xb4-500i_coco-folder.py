# Everything small, so that two CPU cores train it in minutes: from scratch, at 192 x 192, which
# the network sees at half the size.
_base_ = '../addp/mask-rcnn_addp-vit-tiny_sfp_1xb4-500i_coco-folder.py'

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='mmaddp.DDAEUNet',
        base_channels=32,
        channel_multipliers=(1, 2, 2),
        out_blocks=('out_6', 'out_3'),
        time=0.011,
        attention_window=16,
        reduction=2,
    ),
    neck=dict(in_channels=64, scale_factors=(1.0, 1.0, 0.5, 0.25), in_indices=(0, 1, 1, 1)),
)
