# The authors do not publish which block and timestep are best here: those of CIFAR-10 stand in.
_base_ = [
    '../../_base_/backbones/ddae-ddpm_unet.py',
    '../../_base_/heads/avg-pool.py',
    '../../_base_/datasets/tiny-imagenet_64.py',
    '../../_base_/schedules/ddae-finetune_100e.py',
]

# The result of tools/probe.py, if named. Its block and time replace those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=200),
    backbone=dict(
        **_base_.encoder,
        out_blocks=('out_6',),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/pretrain/ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px/tiny-imagenet/epoch_2000.pth}}',
        ),
    ),
    head=dict(num_classes=200),
)
