# Linear segmentation of all 12 blocks, by DINOv3's protocol.
_base_ = ['../../_base_/backbones/addp_vit-b.py', '../../_base_/probes/ade20k_dinov3.py']

model = dict(
    encoder=dict(
        **_base_.encoder,
        img_size=512,
        pretrain_img_size=256,
        embed_norm=True,
        final_norm=True,
    )
)
