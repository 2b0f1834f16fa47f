_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_unet.py',
    '../../_base_/datasets/tiny-imagenet_64_pretrain.py',
    '../../_base_/schedules/ddae_2000e.py',
]

model = dict(img_size=64)
