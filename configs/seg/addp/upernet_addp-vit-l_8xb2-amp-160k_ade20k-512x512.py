_base_ = [
    '../../_base_/backbones/addp_vit-l.py',
    '../../_base_/heads/upernet.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

model = dict(
    **_base_.for_segmentation,
    decode_head=dict(in_channels=4 * [1024], channels=1024),
    auxiliary_head=dict(in_channels=1024),
)

# No numbers are published for ViT-L. 0.75 is MAE's value for fine-tuning it on ImageNet.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
