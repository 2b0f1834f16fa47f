# The same with DDPM++ by EDM: level 4 of 18, sigma 0.0599, which the network is told as
# ln(sigma) / 4.
_base_ = './ddae-ddpm-unet_avg-pool.py'

model = dict(
    backbone=dict(
        channel_multipliers=(2, 2, 2),
        num_blocks=4,
        resblock_updown=True,
        dropout=0.13,
        out_blocks=('out_7',),
        time=-0.7036,
    )
)
