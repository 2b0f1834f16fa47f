# DDAE by DDPM: the UNet of 35.7M parameters, 1,000 timesteps with linear betas.
model = dict(
    type='mmaddp.DDAE',
    network=dict(type='mmaddp.DDAEUNet'),
    process=dict(type='mmaddp.DDPM', num_timesteps=1000),
    img_size=32,
)
