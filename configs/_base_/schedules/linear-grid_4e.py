# The same for small encoders on a CPU, where what costs is the encoder's pass: fewer images at a
# higher rate, ours.
_base_ = './linear-grid_15e.py'

optim_wrapper = dict(optimizer=dict(lr=4e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=4, T_max=4)
train_cfg = dict(max_epochs=4, val_interval=4)
auto_scale_lr = dict(base_batch_size=32)
