# A toy classifier that two CPU cores fine-tune in minutes: ENCODER is a checkpoint of
# pretrain/ddae's toy DDPM at 32 x 32, CIFAR10_DIR the folder.
_base_ = [
    '../../_base_/backbones/ddae-ddpm_unet.py',
    '../../_base_/heads/avg-pool.py',
    '../../_base_/datasets/cifar10-folder_32.py',
    '../../_base_/schedules/toy-finetune_20e.py',
]

# The result of tools/probe.py, if named. Its block and time replace those of the config.
best_cell = '{{$BEST_CELL:none}}'

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=num_classes),
    backbone=dict(
        _base_.encoder,
        base_channels=32,
        channel_multipliers=(1, 2, 3),
        num_blocks=1,
        out_blocks=('out_3',),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/ddae-ddpm_unet-toy_1xb64-3000i_cifar10-32px/iter_3000.pth}}',
        ),
    ),
    head=dict(in_channels=64, num_classes=num_classes),
)

# The UNet has more layers than the toy ViTs, so they decay less.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.95), clip_grad=dict(max_norm=1.0))
