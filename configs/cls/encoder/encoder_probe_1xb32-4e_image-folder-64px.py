# Linear classifiers on all layers of the frozen network, in one training.
_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/datasets/image-folder_64.py',
    '../../_base_/schedules/linear-grid_4e.py',
]

model = dict(
    type='mmaddp.GridProbe',
    encoder=_base_.backbone,
    head=dict(type='mmaddp.LinearClassifier', num_classes=_base_.num_classes, batch_norm=True),
)

train_dataloader = dict(batch_size=32, num_workers=1)
val_dataloader = dict(num_workers=1)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
