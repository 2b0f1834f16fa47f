# DPT on NYU.
_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/heads/dpt_depth.py',
    '../../_base_/datasets/nyu_416x544.py',
    '../../_base_/schedules/depth-finetune_38k.py',
]

model = dict(
    backbone=_base_.backbone,
    decode_head=dict(in_channels=None, embed_dims=None),
)
