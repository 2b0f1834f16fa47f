_base_ = [
    '../../_base_/pretrainers/addp_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/addp_1600e.py',
]
