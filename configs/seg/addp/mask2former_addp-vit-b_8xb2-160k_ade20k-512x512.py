_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/mask2former.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/mask2former_160k.py',
]

model = dict(**_base_.for_segmentation, decode_head=dict(in_channels=4 * [768]))
