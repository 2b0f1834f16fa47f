# MAGE's released command: base learning rate 1.5e-4 times 4096 / 256.
_base_ = ['../runtimes/pretrain.py', './pretrain-adamw_coslr.py']

optim_wrapper = dict(optimizer=dict(lr=2.4e-3), clip_grad=dict(max_norm=3.0))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 1600
train_cfg = dict(by_epoch=True, max_epochs=1600)
default_hooks = dict(checkpoint=dict(interval=10))
custom_hooks = [dict(type='mmaddp.LossByMaskRatioHook')]
