# Linear probing of DiT-XL/2, pre-trained on ImageNet, on CIFAR-10 at 256 x 256 (section 4.2): all
# 28 blocks. The authors count timesteps from 0: their best cell is layer-13 at 121, our level 122.
# AUTOENCODER names the autoencoder's folder. Latents are drawn anew for each image and epoch; the
# authors draw ten of each beforehand.
_base_ = [
    '../../_base_/pretrainers/ddae-ddpm_dit-xl.py',
    '../../_base_/datasets/cifar10-folder_32_crop_256.py',
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
