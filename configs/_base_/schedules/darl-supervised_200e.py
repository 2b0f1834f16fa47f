# DARL's table 10, training from scratch: base learning rate 1e-4 times 4096 / 256, weight decay
# 0.3, 20 of 200 epochs of warm-up. All layers learn alike.
_base_ = './darl-finetune_90e.py'

optim_wrapper = dict(
    optimizer=dict(lr=1.6e-3, weight_decay=0.3), paramwise_cfg=dict(layer_decay_rate=1.0)
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 20
param_scheduler[1].update(end=200, eta_min_ratio=1e-6 / 1.6e-3)
train_cfg = dict(max_epochs=200)
