# A toy classifier that two CPU cores fine-tune in minutes: ENCODER is a checkpoint of
# pretrain/darl's toy configs at 32 x 32, CIFAR10_DIR the folder.
_base_ = [
    '../../_base_/backbones/darl_vit-toy.py',
    '../../_base_/heads/last-token.py',
    '../../_base_/datasets/cifar10-folder_32.py',
    '../../_base_/schedules/toy-finetune_20e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=num_classes),
    backbone=_base_.encoder,
    head=dict(in_channels=192, num_classes=num_classes),
    train_cfg=None,
)
