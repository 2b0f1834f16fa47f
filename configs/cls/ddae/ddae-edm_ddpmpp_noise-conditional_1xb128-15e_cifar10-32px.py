# Equation 5 on DDPM++ trained by EDM.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_ddpmpp.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

pretrainer = _base_.model
pretrainer.network.init_cfg = dict(
    type='Pretrained',
    checkpoint='{{$ENCODER:work_dirs/ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px/epoch_2000.pth}}',
)
model = dict(
    _delete_=True,
    type='mmaddp.NoiseConditionalClassifier',
    pretrainer=pretrainer,
    layer='out_7',
    num_classes=10,
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
