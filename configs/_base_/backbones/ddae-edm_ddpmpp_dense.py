# DDAE's DDPM++ by EDM as the encoder of dense tasks. It has no stride above 4, so coarser levels
# pool its maps: the finest level reads out_7, of stride 2, which probes best; the others read
# out_5, the last block of stride 4. The rest is as for the UNet by DDPM.
encoder = dict(
    type='mmaddp.DDAEUNet',
    channel_multipliers=(2, 2, 2),
    num_blocks=4,
    resblock_updown=True,
    dropout=0.13,
    out_blocks=('out_7', 'out_5'),
    time=-0.7036,
    attention_window=16,
    with_cp=True,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='{{$ENCODER:work_dirs/ddae-edm_ddpmpp_4xb64-amp-2000e_tiny-imagenet-64px/epoch_2000.pth}}',
    ),
)
pixel_values = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
pyramid = dict(in_channels=256, scale_factors=(0.5, 0.5, 0.25, 0.125), in_indices=(0, 1, 1, 1))

for_detection = dict(
    data_preprocessor=dict(**pixel_values, pad_size_divisor=64), backbone=encoder, neck=pyramid
)
for_segmentation = dict(
    data_preprocessor=pixel_values,
    backbone=encoder,
    neck=dict(type='mmaddp.SimpleFeaturePyramid', out_channels=256, num_outs=4, **pyramid),
)
