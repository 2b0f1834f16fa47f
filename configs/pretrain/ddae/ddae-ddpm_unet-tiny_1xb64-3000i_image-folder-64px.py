# Everything small, for one's own images and a CPU: IMAGE_DIR names the images. One resolution more
# than at 32 x 32, so that attention is at 16 x 16 and the coarsest map 8 x 8 here too.
_base_ = [
    '../../_base_/models/ddae-ddpm_unet.py',
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/ddae-tiny_3000i.py',
]

model = dict(
    img_size=64,
    network=dict(
        base_channels=32, channel_multipliers=(1, 2, 3, 3), attention_stages=(2,), num_blocks=1
    ),
)
