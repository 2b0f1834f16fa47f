# Equation 5 on DDPM's UNet: the head alone is trained, by the authors' recipe of linear probing.
_base_ = [
    '../../_base_/models/ddae-ddpm-unet_noise-conditional.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

model = dict(
    pretrainer=dict(
        network=dict(
            init_cfg=dict(
                type='Pretrained',
                checkpoint='{{$ENCODER:work_dirs/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px/epoch_2000.pth}}',
            ),
        ),
    ),
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
