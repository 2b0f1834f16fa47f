_base_ = [
    '../../_base_/models/upernet_vit-l.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

model = dict(
    backbone=dict(
        pretrain_img_size=224,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/mae_pretrain_vit_large.pth'),
    )
)

# No numbers are published for ViT-L; 0.75 is what MAE fine-tunes it with on ImageNet.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
