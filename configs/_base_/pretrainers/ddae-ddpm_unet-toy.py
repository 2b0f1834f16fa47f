# DDAE by DDPM at toy size: 1.7M parameters, blocks out_1 to out_6.
model = dict(
    type='mmaddp.DDAE',
    network=dict(
        type='mmaddp.DDAEUNet',
        base_channels=32,
        channel_multipliers=(1, 2, 3),
        attention_stages=(1,),
        num_blocks=1,
    ),
    process=dict(type='mmaddp.DDPM', num_timesteps=1000),
    img_size=32,
)
