_base_ = [
    '../../_base_/backbones/mae_vit-b.py',
    '../../_base_/heads/upernet.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

model = dict(
    **_base_.for_segmentation,
    decode_head=dict(in_channels=4 * [768], channels=768),
    auxiliary_head=dict(in_channels=768),
)
