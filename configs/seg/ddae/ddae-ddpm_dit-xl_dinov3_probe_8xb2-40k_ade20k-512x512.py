# Linear segmentation of all 28 blocks of DiT-XL/2 at two noise levels, by DINOv3's protocol.
# AUTOENCODER names the autoencoder's folder. Timesteps count from 0.
_base_ = '../../_base_/probes/ade20k_dinov3.py'

model = dict(
    encoder=dict(
        type='mmaddp.DDAE',
        network=dict(type='mmaddp.DDAEDiT', arch='xlarge'),
        process=dict(type='mmaddp.DDPM', time_input='index'),
        autoencoder=dict(
            type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
        ),
        img_size=256,
    ),
    levels=[82, 122],
)
