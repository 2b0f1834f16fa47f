# Equation 5 on the toy EDM.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_unet-toy.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

pretrainer = _base_.model
pretrainer.network.init_cfg = dict(
    type='Pretrained',
    checkpoint='{{$ENCODER:work_dirs/ddae-edm_unet-toy_1xb64-3000i_cifar10-32px/iter_3000.pth}}',
)
model = dict(
    _delete_=True,
    type='mmaddp.NoiseConditionalClassifier',
    pretrainer=pretrainer,
    layer='out_4',
    num_classes=10,
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
