# DARL's table 8: base learning rate 1.5e-4 times 4096 / 256, 40 epochs of warm-up. What the table
# leaves open is MAE's, whose recipe the text follows: the rate falls to 0, no gradient is clipped,
# and norms, biases and other one-dimensional parameters do not decay. The precision is this
# project's.
_base_ = ['../runtimes/darl.py', './pretrain-adamw_cosine.py']

optim_wrapper = dict(optimizer=dict(lr=2.4e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 800
train_cfg = dict(by_epoch=True, max_epochs=800)
