_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_unet.py',
    '../../_base_/datasets/cifar10-folder_32_flip.py',
    '../../_base_/schedules/ddae_2000e.py',
]
