# DARL's encoder at toy size: 4 blocks of 192 channels on 8 x 8 patches of 32 x 32 images.
encoder = dict(
    type='mmaddp.DARLViT',
    arch=dict(embed_dims=192, num_layers=4, num_heads=3),
    img_size=32,
    patch_size=4,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='{{$ENCODER:work_dirs/darl-mse_vit-toy_1xb64-3000i_cifar10-32px/iter_3000.pth}}',
    ),
)
pixel_values = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
