_base_ = [
    '../../_base_/pretrainers/ddae-edm_unet.py',
    '../../_base_/datasets/cifar10-folder_32_flip.py',
    '../../_base_/schedules/ddae-edm_2000e.py',
]
