_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/heads/upernet.py',
    '../../_base_/datasets/seg-folder_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

num_classes = len(_base_.classes)

model = dict(
    backbone=_base_.backbone,
    neck=dict(type='auto', norm_cfg=dict(type='SyncBN', requires_grad=True)),
    decode_head=dict(in_channels=None, channels=512, num_classes=num_classes),
    auxiliary_head=dict(in_channels=None, num_classes=num_classes),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=500, end=20000, by_epoch=False),
]
train_cfg = dict(max_iters=20000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
