# The length of the ablations (section 4.3); their warm-up is not told, so it is table 14's.
_base_ = './addp_1600e.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 150
train_cfg = dict(max_epochs=150)
