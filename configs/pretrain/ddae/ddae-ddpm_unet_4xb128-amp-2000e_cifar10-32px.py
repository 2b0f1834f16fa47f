# DDAE by DDPM, the UNet of 35.7M parameters, on CIFAR-10.
_base_ = [
    '../../_base_/models/ddae-ddpm_unet.py',
    '../../_base_/datasets/cifar10-folder_32_flip.py',
    '../../_base_/schedules/ddae_2000e.py',
]
