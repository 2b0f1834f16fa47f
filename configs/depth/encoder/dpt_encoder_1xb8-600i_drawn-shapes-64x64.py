# DPT on four depths of a plain network, on drawn rooms and a CPU: no files needed.
_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/heads/dpt_depth_toy.py',
    '../../_base_/datasets/drawn-shapes_64x64.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

model = dict(
    data_preprocessor=dict(size=(64, 64), test_cfg=dict(size_divisor=32)),
    backbone=dict(_base_.backbone, model='{{$ENCODER:timm:vit_tiny_patch16_224}}'),
    decode_head=dict(in_channels=None, embed_dims=None),
)
