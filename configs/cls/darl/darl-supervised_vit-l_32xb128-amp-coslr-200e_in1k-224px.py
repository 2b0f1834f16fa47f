# DARL's table 10: from scratch, with labels; the mean of all patches is read.
_base_ = [
    '../../_base_/backbones/darl_vit-l.py',
    '../../_base_/heads/last-token.py',
    '../../_base_/datasets/imagenet_224_randaug-9.py',
    '../../_base_/schedules/darl-finetune_90e.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(
        _base_.encoder,
        img_size=224,
        patch_size=16,
        drop_path_rate=0.2,
    ),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
)

# Base learning rate 1e-4 times 4096 / 256, weight decay 0.3, 20 of 200 epochs of warm-up, and the
# same rate for all layers.
optim_wrapper = dict(
    optimizer=dict(lr=1.6e-3, weight_decay=0.3), paramwise_cfg=dict(layer_decay_rate=1.0)
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 20
param_scheduler[1].update(end=200, eta_min_ratio=1e-6 / 1.6e-3)
train_cfg = dict(max_epochs=200)
