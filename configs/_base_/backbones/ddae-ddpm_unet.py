# DDAE's UNet of 35.7M parameters by DDPM, at the timestep that probes best on CIFAR-10, 11 of 1,000
# (the authors' linear probing). ENCODER names its checkpoint.
encoder = dict(type='mmaddp.DDAEUNet', time=0.011, process=dict(type='mmaddp.DDPM'))
# Images are in [-1, 1]; the padding, 0, is mid-gray.
pixel_values = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])

# Dense tasks: truncated after the block that probes best on CIFAR-10. The finest level reads the
# last block of stride 4, the others read the last block of stride 8. Attention uses windows of
# 16 x 16 positions, as in CIFAR-10. Maps of stride 1 are large, so every block is recomputed.
dense = dict(
    **encoder,
    out_blocks=('out_6', 'out_3'),
    attention_window=16,
    with_cp=True,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='{{$ENCODER:work_dirs/pretrain/ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px/tiny-imagenet/epoch_2000.pth}}',
    ),
)

pyramid = dict(in_channels=256, scale_factors=(1.0, 1.0, 0.5, 0.25), in_indices=(0, 1, 1, 1))

for_detection = dict(
    data_preprocessor=dict(**pixel_values, pad_size_divisor=64), backbone=dense, neck=pyramid
)
for_segmentation = dict(
    data_preprocessor=pixel_values,
    backbone=dense,
    neck=dict(type='mmaddp.SimpleFeaturePyramid', out_channels=256, num_outs=4, **pyramid),
)
