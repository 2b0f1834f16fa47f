# DARL's table 9: learning rate 1e-3 (3e-3 for ViT-H) for 4,096 images, not scaled any further,
# layer decay 0.75, 5 epochs of warm-up. The floor of the cosine is MAE's.
_base_ = './vit-finetune_100e.py'

optim_wrapper = dict(
    optimizer=dict(lr=1e-3, betas=(0.9, 0.95)), paramwise_cfg=dict(layer_decay_rate=0.75)
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 5
param_scheduler[1].update(end=90, eta_min_ratio=1e-6 / 1e-3)
train_cfg = dict(max_epochs=90)
auto_scale_lr = dict(base_batch_size=4096)
