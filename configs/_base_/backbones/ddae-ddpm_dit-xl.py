# The published DiT-XL/2, used without labels (section 4.2), on latents of Stable Diffusion's frozen
# autoencoder. AUTOENCODER names its folder.
encoder = dict(
    type='mmaddp.DDAEDiT',
    arch='xlarge',
    process=dict(type='mmaddp.DDPM', time_input='index'),
    autoencoder=dict(
        type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
    ),
    init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:checkpoints/DiT-XL-2-256x256.pt}}'),
)
pixel_values = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])

# Dense tasks: truncated in the middle, at the timestep that probes best on Tiny-ImageNet. A
# position of its map is 16 pixels wide. Attention is global, positions are interpolated.
dense = dict(**encoder, time=81)

for_detection = dict(
    data_preprocessor=dict(**pixel_values, pad_size_divisor=1024),
    backbone=dict(**dense, out_blocks=('layer-13',), with_cp=True),
    neck=dict(in_channels=1152),
)
for_segmentation = dict(
    data_preprocessor=pixel_values,
    backbone=dict(**dense, out_blocks=('layer-4', 'layer-7', 'layer-10', 'layer-13')),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=1152,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=dict(type='SyncBN', requires_grad=True),
    ),
)
