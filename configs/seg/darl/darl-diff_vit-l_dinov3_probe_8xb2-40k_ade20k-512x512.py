# Linear segmentation of all 24 blocks, by DINOv3's protocol.
_base_ = ['../../_base_/backbones/darl_vit-l.py', '../../_base_/probes/ade20k_dinov3.py']

model = dict(
    encoder=dict(_base_.dense, img_size=512, final_norm=True),
)
