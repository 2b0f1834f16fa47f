# The length of most ablations of section 4.1 and those of section 4.4.
_base_ = './darl_800e.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 100
train_cfg = dict(max_epochs=100)
