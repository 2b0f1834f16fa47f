# The 36M parameters of table 3 are those up to the block before, out_6.
_base_ = [
    '../../_base_/backbones/ddae-edm_ddpmpp.py',
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
        out_blocks=('out_7',),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/ddae-edm_ddpmpp-aug_8xb64-amp-4000e_cifar10-32px/epoch_4000.pth}}',
        ),
    ),
)
