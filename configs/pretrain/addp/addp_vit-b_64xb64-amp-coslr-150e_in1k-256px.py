_base_ = [
    '../../_base_/models/addp_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/addp_150e.py',
]
