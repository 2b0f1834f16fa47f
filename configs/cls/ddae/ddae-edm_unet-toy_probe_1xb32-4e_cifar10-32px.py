# The toy EDM at 6 of its 18 levels.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_unet-toy.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_4e.py',
]

model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=_base_.model,
    head=dict(type='mmaddp.LinearClassifier', num_classes=_base_.num_classes, batch_norm=True),
    levels=[1, 3, 4, 5, 6, 8],
    pixels=32,
)

train_dataloader = dict(batch_size=32, num_workers=1)
val_dataloader = dict(num_workers=1)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
