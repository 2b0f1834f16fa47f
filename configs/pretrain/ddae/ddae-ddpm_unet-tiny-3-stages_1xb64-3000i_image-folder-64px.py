# The network of 32 x 32, which has as many parameters as the small ViTs of ADDP and DARL.
_base_ = './ddae-ddpm_unet-tiny_1xb64-3000i_image-folder-64px.py'

model = dict(network=dict(channel_multipliers=(1, 2, 3), attention_stages=(1,)))
