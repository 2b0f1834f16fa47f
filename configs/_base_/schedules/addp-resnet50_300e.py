# Table 14 for ResNet-50, the base learning rate of 1e-4 times 2048 / 256.
_base_ = './addp_1600e.py'

optim_wrapper = dict(optimizer=dict(lr=8e-4, betas=(0.9, 0.98)))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10
param_scheduler[1].end = 300
train_cfg = dict(max_epochs=300)
auto_scale_lr = dict(base_batch_size=2048)
