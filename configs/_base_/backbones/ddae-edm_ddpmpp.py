# DDAE's DDPM++ by EDM, at the noise level that probes best on CIFAR-10, 4 of 18 (the authors'
# linear probing): sigma is 0.0599, and the network's time input ln(sigma) / 4. The process scales
# images by c_in at this sigma, as in pre-training and probing. ENCODER names its checkpoint.
encoder = dict(
    type='mmaddp.DDAEUNet',
    channel_multipliers=(2, 2, 2),
    num_blocks=4,
    resblock_updown=True,
    dropout=0.13,
    time=-0.7036,
    process=dict(type='mmaddp.EDM'),
)
pixel_values = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])

# Dense tasks: it has no stride above 4, so coarser levels pool its maps. The finest level reads
# out_7, of stride 2, which probes best; the others read out_5, the last block of stride 4. The rest
# is the same as for the UNet by DDPM.
dense = dict(
    **encoder,
    out_blocks=('out_7', 'out_5'),
    attention_window=16,
    with_cp=True,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='{{$ENCODER:work_dirs/pretrain/ddae/ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px/tiny-imagenet/epoch_2000.pth}}',
    ),
)

pyramid = dict(in_channels=256, scale_factors=(0.5, 0.5, 0.25, 0.125), in_indices=(0, 1, 1, 1))

for_detection = dict(
    data_preprocessor=dict(**pixel_values, pad_size_divisor=64), backbone=dense, neck=pyramid
)
for_segmentation = dict(
    data_preprocessor=pixel_values,
    backbone=dense,
    neck=dict(type='mmaddp.SimpleFeaturePyramid', out_channels=256, num_outs=4, **pyramid),
)
