# Small images, a few minutes on a CPU.
_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/heads/avg-pool-norm.py',
    '../../_base_/datasets/image-folder_64.py',
    '../../_base_/schedules/toy-finetune_20e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    backbone=dict(_base_.backbone, norm='none'),
    neck=dict(in_channels=None),
    head=dict(in_channels=None, num_classes=num_classes),
    train_cfg=None,
)
