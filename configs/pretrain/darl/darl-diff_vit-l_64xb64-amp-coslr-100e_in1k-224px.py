# The base of the ablations of 100 epochs, which are in ../../grids.
_base_ = [
    '../../_base_/pretrainers/darl-diff_vit-l.py',
    '../../_base_/datasets/imagenet_224_pretrain.py',
    '../../_base_/schedules/darl_800e.py',
]

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 100
train_cfg = dict(max_epochs=100)
