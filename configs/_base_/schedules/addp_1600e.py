# Table 14 for ViT-B. Its peak learning rate is 1.5e-3; the command that the authors release has a
# base of 1e-4 times 4096 / 256, and is followed. Gradient clipping, the rule of weight decay (none
# on norms, biases and other one-dimensional parameters) and a learning rate that falls to 0 are the
# released code's; the paper does not speak of them.
_base_ = ['../runtimes/addp.py', './pretrain-adamw_cosine.py']

optim_wrapper = dict(optimizer=dict(lr=1.6e-3), clip_grad=dict(max_norm=3.0))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 1600
train_cfg = dict(by_epoch=True, max_epochs=1600)
