# DDAE with the published DiT-XL/2, used whole and without labels, behind Stable Diffusion's
# autoencoder (section 4.2). Its timesteps count from 0. AUTOENCODER names the autoencoder's folder.
# It needs no training: tools/generate.py takes this file as its config.
model = dict(
    type='mmaddp.DDAE',
    network=dict(type='mmaddp.DDAEDiT', arch='xlarge'),
    process=dict(type='mmaddp.DDPM', time_input='index'),
    autoencoder=dict(
        type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
    ),
    img_size=256,
)
