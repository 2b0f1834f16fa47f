_base_ = [
    '../../_base_/models/vit-b_avg-pool.py',
    '../../_base_/datasets/imagenet_256_randaug-9-erasing.py',
    '../../_base_/schedules/vit-finetune_50e.py',
]

# Drop path is the released command's; table 15 prints 0.1.
model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/addp-vit-large-16.pth'),
    ),
    neck=dict(in_channels=1024),
    head=dict(in_channels=1024),
)
