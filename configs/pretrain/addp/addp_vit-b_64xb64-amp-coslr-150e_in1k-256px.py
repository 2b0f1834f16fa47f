# The length of the ablations (section 4.3), which are in ../../grids. Their warm-up is not given;
# table 14's is used.
_base_ = [
    '../../_base_/pretrainers/addp_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/addp_1600e.py',
]

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 150
train_cfg = dict(max_epochs=150)
