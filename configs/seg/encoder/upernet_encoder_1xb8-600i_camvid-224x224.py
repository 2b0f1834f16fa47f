# A few minutes on a CPU.
_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/heads/upernet_toy.py',
    '../../_base_/datasets/camvid_224x224.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=32)),
    backbone=dict(_base_.backbone, model='{{$ENCODER:timm:vit_tiny_patch16_224}}'),
    neck=dict(type='auto', norm_cfg=dict(type='BN', requires_grad=True)),
    decode_head=dict(in_channels=None, num_classes=11),
    auxiliary_head=dict(in_channels=None, num_classes=11),
)
