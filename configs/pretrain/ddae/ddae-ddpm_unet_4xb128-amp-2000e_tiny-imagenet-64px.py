# DDAE by DDPM, the UNet of 35.7M parameters, on Tiny-ImageNet.
_base_ = [
    '../../_base_/models/ddae-ddpm_unet.py',
    '../../_base_/datasets/tiny-imagenet_64_pretrain.py',
    '../../_base_/schedules/ddae_2000e.py',
]

model = dict(img_size=64)
