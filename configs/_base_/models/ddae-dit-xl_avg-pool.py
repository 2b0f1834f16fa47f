# The same with DiT-XL/2 behind Stable Diffusion's autoencoder, used without labels (section 4.2).
# AUTOENCODER is the autoencoder's folder.
_base_ = './ddae-ddpm-unet_avg-pool.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmaddp.DDAEDiT',
        arch='xlarge',
        out_blocks=('layer-13',),
        time=121,
        autoencoder=dict(
            type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
        ),
    ),
    head=dict(in_channels=1152),
)
