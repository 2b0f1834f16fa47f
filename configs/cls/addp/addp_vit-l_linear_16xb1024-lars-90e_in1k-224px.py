# Table 16, at 224 x 224 as ViT-B's.
_base_ = [
    '../../_base_/backbones/addp_vit-l.py',
    '../../_base_/heads/linear.py',
    '../../_base_/datasets/imagenet_224.py',
    '../../_base_/schedules/linear-probe_90e.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(
        **_base_.encoder,
        img_size=224,
        pretrain_img_size=256,
        embed_norm=True,
        final_norm=True,
        frozen_stages=24,
    ),
    neck=dict(in_channels=1024),
    head=dict(in_channels=1024),
)

train_dataloader = dict(batch_size=1024)
