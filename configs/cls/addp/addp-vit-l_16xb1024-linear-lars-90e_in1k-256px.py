_base_ = './addp-vit-b_16xb1024-linear-lars-90e_in1k-256px.py'

model = dict(
    backbone=dict(
        arch='large',
        frozen_stages=24,
        init_cfg=dict(checkpoint='checkpoints/addp-vit-large-16.pth'),
    ),
    neck=dict(in_channels=1024),
    head=dict(in_channels=1024),
)
