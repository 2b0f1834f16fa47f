# DDAE by EDM, the UNet of 35.7M parameters, on CIFAR-10.
_base_ = [
    '../../_base_/models/ddae-edm_unet.py',
    '../../_base_/datasets/cifar10-folder_32_flip.py',
    '../../_base_/schedules/ddae-edm_2000e.py',
]
