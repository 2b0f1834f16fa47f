# ViTDet's recipe, but that the layers, about twice as many as a ViT-B's, decay less.
_base_ = [
    '../../_base_/models/cascade-mask-rcnn_ddae-ddpm-unet_sfp.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/vitdet_25e.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/ddae-ddpm_unet_4xb128-amp-2000e_tiny-imagenet-64px/epoch_2000.pth}}',
        )
    )
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.85))
