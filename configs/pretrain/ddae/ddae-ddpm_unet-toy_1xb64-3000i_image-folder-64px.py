# One's own images on a CPU: IMAGE_DIR names their folder.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_unet-toy.py',
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/ddae-toy_3000i.py',
]

# One resolution more than at 32 x 32: attention is at 16 x 16 and the coarsest map 8 x 8 here too.
model = dict(img_size=64, network=dict(channel_multipliers=(1, 2, 3, 3), attention_stages=(2,)))
