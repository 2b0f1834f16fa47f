_base_ = [
    '../../_base_/pretrainers/darl-mse_vit-l.py',
    '../../_base_/datasets/imagenet_224_pretrain.py',
    '../../_base_/schedules/darl_800e.py',
]

model = dict(backbone=dict(arch='base'))
