# DDAE by DDPM with DDPM++, 56.5M parameters: wider, deeper, and residual blocks resample.
model = dict(
    type='mmaddp.DDAE',
    network=dict(
        type='mmaddp.DDAEUNet', channel_multipliers=(2, 2, 2), num_blocks=4, resblock_updown=True
    ),
    process=dict(type='mmaddp.DDPM', num_timesteps=1000),
    img_size=32,
)
