# The network of the toy detector and segmentor, with nearly as many parameters as their ViTs.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_unet-toy.py',
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/ddae-toy_3000i.py',
]

model = dict(
    img_size=64, network=dict(channel_multipliers=(1, 2, 2), attention_stages=(1,), num_blocks=2)
)
