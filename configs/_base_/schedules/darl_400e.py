# The length of the ablation of positions (table 1).
_base_ = './darl_800e.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 400
train_cfg = dict(max_epochs=400)
