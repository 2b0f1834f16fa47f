# A toy ADDP encoder by DDAE's probing, in minutes on a CPU, on your own images at the 128 pixels
# of its pre-training.
_base_ = [
    '../../_base_/pretrainers/addp_vit-toy.py',
    '../../_base_/datasets/image-folder_64.py',
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

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 128
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_pipeline[2].crop_size = 128
train_dataloader = dict(batch_size=32, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
