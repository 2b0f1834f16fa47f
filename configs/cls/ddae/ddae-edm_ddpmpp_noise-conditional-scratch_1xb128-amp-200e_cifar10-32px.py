# The same control with DDPM++ and EDM's noise.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_ddpmpp.py',
    '../../_base_/datasets/cifar10-folder_32_crop.py',
    '../../_base_/schedules/ddae-finetune_100e.py',
]

model = dict(
    _delete_=True,
    type='mmaddp.NoiseConditionalClassifier',
    pretrainer=_base_.model,
    layer='out_7',
    num_classes=10,
    frozen=False,
)

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 200
train_cfg = dict(max_epochs=200, val_interval=200)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
