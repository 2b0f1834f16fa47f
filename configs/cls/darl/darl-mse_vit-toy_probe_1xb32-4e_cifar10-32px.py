# A toy DARL encoder by DDAE's probing, in minutes on a CPU: 4 blocks and the raw pixels.
_base_ = [
    '../../_base_/pretrainers/darl-mse_vit-l.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/linear-grid_4e.py',
]

encoder = _base_.model
encoder.backbone.update(
    arch=dict(embed_dims=192, num_layers=4, num_heads=3), img_size=32, patch_size=4
)
model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=encoder,
    head=dict(type='mmaddp.LinearClassifier', num_classes=_base_.num_classes, batch_norm=True),
    pixels=32,
)

train_dataloader = dict(batch_size=32, num_workers=1)
val_dataloader = dict(num_workers=1)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
