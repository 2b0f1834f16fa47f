# A few minutes on a CPU.
_base_ = [
    '../../_base_/heads/upernet_toy.py',
    '../../_base_/datasets/camvid_224x224.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

# The file of the network's weights, random ones without it, and a result of tools/probe.py.
weights = '{{$WEIGHTS:none}}'
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=32)),
    backbone=dict(
        type='mmaddp.Encoder',
        model='{{$ENCODER:timm:vit_tiny_patch16_224}}',
        init_cfg=dict(type='Pretrained', checkpoint=weights) if weights != 'none' else None,
    ),
    neck=dict(type='auto', norm_cfg=dict(type='BN', requires_grad=True)),
    decode_head=dict(in_channels=None, num_classes=11),
    auxiliary_head=dict(in_channels=None, num_classes=11),
)
