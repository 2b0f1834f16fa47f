# k-NN classification by all layers of the frozen network: no training. The schedule is not used.
_base_ = [
    '../../_base_/backbones/encoder.py',
    '../../_base_/datasets/image-folder_64.py',
    '../../_base_/schedules/linear-grid_4e.py',
]

model = dict(
    type='mmaddp.GridProbe',
    encoder=_base_.backbone,
    head=dict(type='mmaddp.KNNClassifier', num_classes=_base_.num_classes),
)

# One pass over the training set, without augmentation.
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(pipeline=_base_.test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_dataloader = dict(num_workers=1)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
