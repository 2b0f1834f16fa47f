_base_ = [
    '../../_base_/backbones/ddae-ddpm_dit-xl.py',
    '../../_base_/heads/upernet.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

model = dict(
    **_base_.for_segmentation,
    decode_head=dict(in_channels=4 * [1152], channels=1152),
    auxiliary_head=dict(in_channels=1152),
)

# The layer decay of MAE's ViT-L.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
