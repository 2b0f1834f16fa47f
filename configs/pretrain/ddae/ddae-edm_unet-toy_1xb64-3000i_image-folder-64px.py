# One's own images on a CPU: IMAGE_DIR names their folder.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_unet-toy.py',
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/ddae-toy_3000i.py',
]

# Attention is at 16 x 16, the coarsest map, as in most networks of 64 x 64 pixels.
model = dict(img_size=64, network=dict(attention_stages=(2,), dropout=0.0))
