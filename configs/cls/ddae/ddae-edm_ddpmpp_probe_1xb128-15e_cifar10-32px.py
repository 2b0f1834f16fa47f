# Linear probing of DDPM++ trained by EDM on CIFAR-10: all 15 blocks at 7 of 18 noise levels. The
# authors' grid has the levels 3, 4 and 5, and out_7 at 4 is their best cell. An encoder that was
# trained with augmentation has model.encoder.network.augment_dim=9 and model.encoder.augment=0.12.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_ddpmpp.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=_base_.model,
    num_classes=_base_.num_classes,
    levels=[2, 3, 4, 5, 6, 7, 9],
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
