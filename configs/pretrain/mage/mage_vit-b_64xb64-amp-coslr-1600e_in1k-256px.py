_base_ = [
    '../../_base_/models/mage_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/mage_1600e.py',
]
