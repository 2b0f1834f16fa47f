# DDPM++ by EDM has no stride above 4: coarser levels pool its maps, the finest from the block that
# probes best, out_7 of stride 2, the others from the last of stride 4.
_base_ = './cascade-mask-rcnn_ddae-ddpm-unet_sfp_16xb4-lsj-25e_coco.py'

model = dict(
    backbone=dict(
        channel_multipliers=(2, 2, 2),
        num_blocks=4,
        resblock_updown=True,
        dropout=0.13,
        out_blocks=('out_7', 'out_5'),
        time=-0.7036,
        init_cfg=dict(
            checkpoint='{{$ENCODER:work_dirs/ddae-edm_ddpmpp_4xb64-amp-2000e_tiny-imagenet-64px/epoch_2000.pth}}'
        ),
    ),
    neck=dict(scale_factors=(0.5, 0.5, 0.25, 0.125)),
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
