_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/heads/avg-pool-norm.py',
    '../../_base_/datasets/class-folder_256.py',
    '../../_base_/schedules/vit-finetune_100e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    backbone=dict(_base_.backbone, norm='none'),
    neck=dict(in_channels=None),
    head=dict(in_channels=None, num_classes=num_classes),
)

optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(base_batch_size=128)
