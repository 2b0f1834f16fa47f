# The authors do not publish which block and level are best here. Up to out_8 are the 40M parameters
# of table 4; the level of CIFAR-10 stands in.
_base_ = [
    '../../_base_/backbones/ddae-edm_ddpmpp.py',
    '../../_base_/heads/avg-pool.py',
    '../../_base_/datasets/tiny-imagenet_64.py',
    '../../_base_/schedules/ddae-finetune_100e.py',
]

# The result of tools/probe.py, if named. Its block and time replace those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=200),
    backbone=dict(
        _base_.encoder,
        out_blocks=('out_8',),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/pretrain/ddae/ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px/tiny-imagenet/epoch_2000.pth}}',
        ),
    ),
    head=dict(num_classes=200),
)
