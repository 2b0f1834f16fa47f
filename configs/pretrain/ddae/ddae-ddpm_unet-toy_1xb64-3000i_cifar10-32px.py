# CIFAR-10 on a CPU: CIFAR10_DIR names the folder.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_unet-toy.py',
    '../../_base_/datasets/cifar10-folder_32_pretrain.py',
    '../../_base_/schedules/ddae-toy_3000i.py',
]
