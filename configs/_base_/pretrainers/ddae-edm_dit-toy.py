# DDAE by EDM with a transformer of 4 blocks on patches of 8 x 8 pixels, without an autoencoder. No
# size is from a paper.
pretrainer = dict(
    type='mmaddp.DDAE',
    network=dict(
        type='mmaddp.DDAEDiT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        input_size=64,
        patch_size=8,
        in_channels=3,
        num_classes=1,
        learn_sigma=False,
    ),
    process=dict(type='mmaddp.EDM'),
    img_size=64,
)
