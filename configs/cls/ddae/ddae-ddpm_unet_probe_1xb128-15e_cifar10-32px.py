# Linear probing of DDAE's UNet on CIFAR-10: all 12 blocks at 7 noise levels in one run. The
# authors' grid has the levels 1, 11 and 21 (--levels 1 11 21), and out_6 at 11 is their best cell.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_unet.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=_base_.model,
    head=dict(type='mmaddp.LinearClassifier', num_classes=_base_.num_classes),
    levels=[1, 11, 21, 31, 61, 121, 241],
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
