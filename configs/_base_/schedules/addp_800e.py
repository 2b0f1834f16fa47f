# Table 14 for ViT-L.
_base_ = './addp_1600e.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 800
train_cfg = dict(max_epochs=800)
