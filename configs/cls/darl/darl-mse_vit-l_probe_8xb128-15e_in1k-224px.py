# DARL's encoder by DDAE's probing, so that the methods can be compared: all 24 blocks in one run.
# The linear layers follow the norm of its own linear evaluation (appendix B.1).
_base_ = [
    '../../_base_/pretrainers/darl-mse_vit-l.py',
    '../../_base_/datasets/imagenet_224.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=_base_.model,
    head=dict(type='mmaddp.LinearClassifier', num_classes=1000, batch_norm=True),
)

train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=8e-3))
auto_scale_lr = dict(base_batch_size=1024)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
