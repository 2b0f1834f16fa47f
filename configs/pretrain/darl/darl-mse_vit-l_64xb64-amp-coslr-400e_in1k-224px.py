_base_ = [
    '../../_base_/models/darl-mse_vit-l.py',
    '../../_base_/datasets/imagenet_224_pretrain.py',
    '../../_base_/schedules/darl_400e.py',
]
