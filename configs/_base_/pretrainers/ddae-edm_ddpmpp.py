# DDAE by EDM with DDPM++, with the authors' higher dropout for EDM.
model = dict(
    type='mmaddp.DDAE',
    network=dict(
        type='mmaddp.DDAEUNet',
        channel_multipliers=(2, 2, 2),
        num_blocks=4,
        resblock_updown=True,
        dropout=0.13,
    ),
    process=dict(type='mmaddp.EDM'),
    img_size=32,
)
