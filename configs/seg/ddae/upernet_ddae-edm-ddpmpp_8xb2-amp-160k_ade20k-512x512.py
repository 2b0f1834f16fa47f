_base_ = [
    '../../_base_/backbones/ddae-edm_ddpmpp.py',
    '../../_base_/heads/upernet.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

model = dict(
    **_base_.for_segmentation,
    decode_head=dict(in_channels=4 * [256], channels=512),
    auxiliary_head=dict(in_channels=256),
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
