_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_ddpmpp.py',
    '../../_base_/datasets/cifar10-folder_32_flip.py',
    '../../_base_/schedules/ddae_2000e.py',
]

train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=256)
