# ADDP's encoder at toy size: 4 blocks of 192 channels.
encoder = dict(
    type='mmaddp.ADDPViT', arch=dict(embed_dims=192, num_layers=4, num_heads=3), img_size=128
)
pixel_values = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
