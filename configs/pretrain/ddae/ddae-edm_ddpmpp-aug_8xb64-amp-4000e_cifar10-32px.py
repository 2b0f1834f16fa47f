# Twice as long, on 8 GPUs, with the augmentation that the network is told.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_ddpmpp.py',
    '../../_base_/datasets/cifar10-folder_32_flip.py',
    '../../_base_/schedules/ddae-edm_2000e.py',
]

model = dict(network=dict(augment_dim=9), augment=0.12)

optim_wrapper = dict(optimizer=dict(lr=8e-4))
train_cfg = dict(max_epochs=4000)
default_hooks = dict(checkpoint=dict(interval=100))
train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=512)
