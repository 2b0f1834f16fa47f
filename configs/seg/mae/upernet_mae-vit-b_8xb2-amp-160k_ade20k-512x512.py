_base_ = [
    '../../_base_/models/upernet_vit-b.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

model = dict(
    backbone=dict(
        pretrain_img_size=224,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/mae_pretrain_vit_base.pth'),
    )
)
