# DARL's table 8: base learning rate 1.5e-4 times 4096 / 256, 40 epochs of warm-up. What the table
# leaves open is MAE's, whose recipe the text follows: the rate falls to 0, gradients are not
# clipped, and one-dimensional parameters do not decay. The precision is this project's.
_base_ = ['../runtimes/pretrain.py', './pretrain-adamw_coslr.py']

optim_wrapper = dict(optimizer=dict(lr=2.4e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 800
train_cfg = dict(by_epoch=True, max_epochs=800)
custom_hooks = [dict(type='mmaddp.VisualizationHook', interval=1000)]
