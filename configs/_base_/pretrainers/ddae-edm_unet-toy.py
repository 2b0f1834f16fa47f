# DDAE by EDM at toy size: 1.7M parameters, blocks out_1 to out_6.
model = dict(
    type='mmaddp.DDAE',
    network=dict(
        type='mmaddp.DDAEUNet',
        base_channels=32,
        channel_multipliers=(1, 2, 3),
        attention_stages=(1,),
        num_blocks=1,
        dropout=0.13,
    ),
    process=dict(type='mmaddp.EDM'),
    img_size=32,
)
