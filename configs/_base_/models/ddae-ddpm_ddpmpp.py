# DDAE by DDPM with DDPM++, 56.5M parameters: wider and deeper, and residual blocks that resample.
_base_ = './ddae-ddpm_unet.py'

model = dict(network=dict(channel_multipliers=(2, 2, 2), num_blocks=4, resblock_updown=True))
