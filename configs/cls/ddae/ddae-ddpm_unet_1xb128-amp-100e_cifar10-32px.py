_base_ = [
    '../../_base_/backbones/ddae-ddpm_unet.py',
    '../../_base_/heads/avg-pool.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/ddae-finetune_100e.py',
]

# The result of tools/probe.py, if named. Its block and time replace those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(
        **_base_.encoder,
        out_blocks=('out_6',),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px/epoch_2000.pth}}',
        ),
    ),
)
