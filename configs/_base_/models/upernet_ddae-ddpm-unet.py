# UperNet on DDAE's UNet of 35.7M parameters, truncated and told the noise level as for detection:
# maps of stride 4, 8, 16 and 32 from the last blocks of stride 4 and 8. Images in [-1, 1] are
# padded by 0, mid-gray.
_base_ = './upernet_vit-b.py'

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='mmaddp.DDAEUNet',
        out_blocks=('out_6', 'out_3'),
        time=0.011,
        attention_window=16,
        with_cp=True,
    ),
    neck=dict(
        _delete_=True,
        type='mmaddp.SimpleFeaturePyramid',
        in_channels=256,
        out_channels=256,
        num_outs=4,
        scale_factors=(1.0, 1.0, 0.5, 0.25),
        in_indices=(0, 1, 1, 1),
    ),
    decode_head=dict(in_channels=[256, 256, 256, 256], channels=512),
    auxiliary_head=dict(in_channels=256),
)
