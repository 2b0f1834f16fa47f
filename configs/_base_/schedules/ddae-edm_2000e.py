# DDAE's pre-training by EDM, as in the authors' code: as by DDPM, with 200 epochs of warm-up and a
# shorter moving average.
_base_ = '../runtimes/pretrain.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='Adam', lr=4e-4),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='LinearLR', start_factor=1 / 200, by_epoch=True, begin=0, end=200)]
train_cfg = dict(by_epoch=True, max_epochs=2000)
default_hooks = dict(checkpoint=dict(interval=50, max_keep_ckpts=-1))
custom_hooks = [
    dict(type='EMAHook', ema_type='mmaddp.RisingEMA', momentum=7e-4),
    dict(type='mmaddp.VisualizationHook', interval=1000),
]
auto_scale_lr = dict(base_batch_size=512)
