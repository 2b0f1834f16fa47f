# DDAE with DiT-XL/2 as its authors published it, whole and without labels, behind Stable
# Diffusion's autoencoder (section 4.2); its timesteps count from 0. AUTOENCODER is the folder of
# the autoencoder. It needs no training: tools/generate.py takes this file as its config.
model = dict(
    type='mmaddp.DDAE',
    network=dict(type='mmaddp.DDAEDiT', arch='xlarge'),
    process=dict(type='mmaddp.DDPM', time_input='index'),
    autoencoder=dict(
        type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
    ),
    img_size=256,
)
