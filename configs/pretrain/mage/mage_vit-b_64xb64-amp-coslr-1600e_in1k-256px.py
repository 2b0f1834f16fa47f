_base_ = [
    '../../_base_/pretrainers/mage_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/mage_1600e.py',
]
