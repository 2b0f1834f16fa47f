# Equation 5 on DDPM++ trained by EDM.
_base_ = [
    '../../_base_/models/ddae-edm-ddpmpp_noise-conditional.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

model = dict(
    pretrainer=dict(
        network=dict(
            init_cfg=dict(
                type='Pretrained',
                checkpoint='{{$ENCODER:work_dirs/ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px/epoch_2000.pth}}',
            ),
        ),
    ),
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
