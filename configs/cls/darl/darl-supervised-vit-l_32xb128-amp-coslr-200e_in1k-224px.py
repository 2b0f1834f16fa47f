# Table 10: from scratch, with labels; the mean of all patches is read.
_base_ = [
    '../../_base_/models/darl-vit-l_last-token.py',
    '../../_base_/datasets/imagenet_224_randaug-9.py',
    '../../_base_/schedules/darl-supervised_200e.py',
]

model = dict(
    backbone=dict(drop_path_rate=0.2),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
)
