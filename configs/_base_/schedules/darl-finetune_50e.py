# The length that the ablations fine-tune for (table 9, section 4).
_base_ = './darl-finetune_90e.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 50
train_cfg = dict(max_epochs=50)
