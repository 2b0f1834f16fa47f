# The same on Tiny-ImageNet, where the authors' best cell is layer-13 at timestep 81, our level 82.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_dit-xl.py',
    '../../_base_/datasets/tiny-imagenet_64_256.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

encoder = _base_.model
encoder.autoencoder.sample = True
model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=encoder,
    head=dict(type='mmaddp.LinearClassifier', num_classes=_base_.num_classes),
    levels=[42, 82, 122, 162, 202],
)

param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=30, T_max=30)
train_cfg = dict(max_epochs=30, val_interval=30)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
