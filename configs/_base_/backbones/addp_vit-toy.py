# ADDP's encoder at toy size: 4 blocks of 192 channels on patches of 8 x 8 pixels. ENCODER is a file
# of pretrain/addp's toy configs, by default the zoo's.
encoder = dict(
    type='mmaddp.ADDPViT',
    arch=dict(embed_dims=192, num_layers=4, num_heads=3),
    img_size=64,
    patch_size=8,
    init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:zoo://addp-toy}}'),
)
pixel_values = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
