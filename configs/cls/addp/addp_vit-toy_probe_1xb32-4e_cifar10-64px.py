# CIFAR-10 by DDAE's probing, with its crops and flips before the resizing: CIFAR10_DIR names the
# folder.
_base_ = [
    '../../_base_/pretrainers/addp_vit-toy.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_4e.py',
]

encoder = _base_.model
encoder.token_predictor = None
model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=encoder,
    head=dict(type='mmaddp.LinearClassifier', num_classes=_base_.num_classes, batch_norm=True),
)

resize = dict(type='Resize', scale=64, interpolation='bicubic')
train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, resize)
test_pipeline = _base_.test_pipeline
test_pipeline.insert(1, resize)
train_dataloader = dict(batch_size=32, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
