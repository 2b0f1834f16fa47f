# DiT's encoder on ImageNet, as long as the probes of ADDP and DARL beside it, at the levels of
# CIFAR-10 and Tiny-ImageNet.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_dit-xl.py',
    '../../_base_/datasets/imagenet_256.py',
    '../../_base_/schedules/linear-grid_15e.py',
]

encoder = _base_.model
encoder.autoencoder.sample = True
model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=encoder,
    head=dict(type='mmaddp.LinearClassifier', num_classes=1000),
    levels=[42, 82, 122, 162, 202],
)

train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=8e-3))
auto_scale_lr = dict(base_batch_size=1024)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
