# A linear probe of the zoo's ADDP encoder on your own images.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/linear.py',
    '../../_base_/datasets/image-folder_64.py',
    '../../_base_/schedules/toy-linear_20e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=num_classes),
    backbone=dict(
        _base_.encoder,
        embed_norm=True,
        final_norm=True,
        frozen_stages=4,
    ),
    neck=dict(in_channels=192),
    head=dict(in_channels=192, num_classes=num_classes),
)
