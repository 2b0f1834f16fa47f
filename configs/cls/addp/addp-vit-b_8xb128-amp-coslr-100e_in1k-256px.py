_base_ = [
    '../../_base_/models/vit-b_avg-pool.py',
    '../../_base_/datasets/imagenet_256_randaug-9-erasing.py',
    '../../_base_/schedules/vit-finetune_100e.py',
]

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='checkpoints/addp-vit-base-16.pth'))
)
