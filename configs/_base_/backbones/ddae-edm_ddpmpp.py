# DDAE's DDPM++ by EDM, truncated behind the block that probes best on CIFAR-10, at noise level 4 of
# 18 (the authors' linear probing): sigma is 0.0599, and the network's time input ln(sigma) / 4.
encoder = dict(
    type='mmaddp.DDAEUNet',
    channel_multipliers=(2, 2, 2),
    num_blocks=4,
    resblock_updown=True,
    dropout=0.13,
    out_blocks=('out_7',),
    time=-0.7036,
)
pixel_values = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
