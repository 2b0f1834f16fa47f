# Block and timestep are those of the authors' configuration for linear probing.
_base_ = [
    '../../_base_/models/ddae-ddpm-unet_avg-pool.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/ddae-finetune_100e.py',
]

# What tools/probe.py found, if named: its block and time in place of those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px/epoch_2000.pth}}',
        ),
    ),
)
