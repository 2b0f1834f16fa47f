# Table 14 for ViT-B. The table prints a peak learning rate of 1.5e-3; the released command has a
# base of 1e-4 times 4096 / 256, which is followed. Gradient clipping, weight decay on matrices only
# and the cosine's end at 0 are the released code's; the paper does not mention them.
_base_ = ['../runtimes/pretrain.py', './pretrain-adamw_coslr.py']

optim_wrapper = dict(optimizer=dict(lr=1.6e-3), clip_grad=dict(max_norm=3.0))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 1600
train_cfg = dict(by_epoch=True, max_epochs=1600)
custom_hooks = [
    dict(type='mmaddp.LossByMaskRatioHook'),
    dict(type='mmaddp.VisualizationHook', interval=1000),
]
