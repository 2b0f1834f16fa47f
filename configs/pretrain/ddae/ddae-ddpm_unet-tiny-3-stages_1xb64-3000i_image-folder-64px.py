# The network of the small detector and segmentor, with nearly as many parameters as their ViTs.
_base_ = './ddae-ddpm_unet-tiny_1xb64-3000i_image-folder-64px.py'

model = dict(
    network=dict(channel_multipliers=(1, 2, 2), attention_stages=(1,), num_blocks=2),
)
