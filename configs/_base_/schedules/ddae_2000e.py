# DDAE's pre-training by DDPM, as in the authors' code: Adam with 1e-4 for each of 4 processes, 13
# epochs of warm-up in steps of an epoch, and a moving average of the weights, which is what is
# saved for use. All checkpoints are kept: figures 3 and 4 need them from epoch 150 on.
_base_ = '../runtimes/pretrain.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='Adam', lr=4e-4),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='LinearLR', start_factor=1 / 13, by_epoch=True, begin=0, end=13)]
train_cfg = dict(by_epoch=True, max_epochs=2000)
default_hooks = dict(checkpoint=dict(interval=50, max_keep_ckpts=-1))
custom_hooks = [
    dict(type='EMAHook', ema_type='mmaddp.RisingEMA', momentum=1e-4),
    dict(type='mmaddp.VisualizationHook', interval=1000),
]
auto_scale_lr = dict(base_batch_size=512)
