_base_ = [
    '../../_base_/models/upernet_ddae-ddpm-unet.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
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
