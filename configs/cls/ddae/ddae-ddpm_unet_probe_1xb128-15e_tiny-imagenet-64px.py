# Linear probing on Tiny-ImageNet, by the recipe of CIFAR-10.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_unet.py',
    '../../_base_/datasets/tiny-imagenet_64.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

encoder = _base_.model
encoder.img_size = 64
model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=encoder,
    num_classes=_base_.num_classes,
    levels=[1, 11, 21, 31, 61, 121, 241],
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
