# DiT-XL/2 behind Stable Diffusion's autoencoder, used without labels (section 4.2), with the block
# and the timestep that probe best on CIFAR-10. AUTOENCODER names the autoencoder's folder.
encoder = dict(
    type='mmaddp.DDAEDiT',
    arch='xlarge',
    out_blocks=('layer-13',),
    time=121,
    autoencoder=dict(
        type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
    ),
    init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:checkpoints/DiT-XL-2-256x256.pt}}'),
)
pixel_values = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
