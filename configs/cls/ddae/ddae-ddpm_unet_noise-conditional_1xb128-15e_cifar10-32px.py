# Equation 5 on DDPM's UNet (section 4.1.3). Only the head is trained, by the authors' recipe of
# linear probing; the block is theirs too, and g is as wide inside as in their code.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_unet.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

pretrainer = _base_.model
pretrainer.network.init_cfg = dict(
    type='Pretrained',
    checkpoint='{{$ENCODER:work_dirs/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px/epoch_2000.pth}}',
)
model = dict(
    _delete_=True,
    type='mmaddp.NoiseConditionalClassifier',
    pretrainer=pretrainer,
    layer='out_6',
    num_classes=10,
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
