# DDAE by EDM: DDPM's UNet of 35.7M parameters, with the authors' higher dropout for EDM.
model = dict(
    type='mmaddp.DDAE',
    network=dict(type='mmaddp.DDAEUNet', dropout=0.13),
    process=dict(type='mmaddp.EDM'),
    img_size=32,
)
