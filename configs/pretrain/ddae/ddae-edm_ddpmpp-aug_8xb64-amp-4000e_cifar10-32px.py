# DDAE by EDM, DDPM++, on CIFAR-10: twice as long with the augmentation of which the network is
# told, on 8 GPUs.
_base_ = './ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px.py'

model = dict(network=dict(augment_dim=9), augment=0.12)
optim_wrapper = dict(optimizer=dict(lr=8e-4))
train_cfg = dict(max_epochs=4000)
default_hooks = dict(checkpoint=dict(interval=100))
auto_scale_lr = dict(base_batch_size=512)
