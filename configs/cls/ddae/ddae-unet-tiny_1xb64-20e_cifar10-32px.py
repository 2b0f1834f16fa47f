# Everything small, so that two CPU cores fine-tune it in minutes: ENCODER is a checkpoint of
# pretrain/ddae's small DDPM at 32 x 32, CIFAR10_DIR the folder. The recipe is that of DARL's small
# encoder, but that the layers, of which there are more, decay less.
_base_ = [
    '../../_base_/models/ddae-ddpm-unet_avg-pool.py',
    '../../_base_/datasets/cifar10-folder_32.py',
    '../../_base_/schedules/darl-finetune_90e.py',
]
# What tools/probe.py found, if named: its block and time in place of those of the config.
best_cell = '{{$BEST_CELL:none}}'

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    backbone=dict(
        base_channels=32,
        channel_multipliers=(1, 2, 3),
        num_blocks=1,
        out_blocks=('out_3',),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/ddae-ddpm_unet-tiny_1xb64-3000i_cifar10-32px/iter_3000.pth}}',
        ),
    ),
    head=dict(in_channels=64, num_classes=num_classes),
)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.95),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=0.01, end=2)
param_scheduler[1].update(begin=2, end=20, eta_min_ratio=1e-3)
train_cfg = dict(max_epochs=20, val_interval=5)
auto_scale_lr = dict(base_batch_size=64)
