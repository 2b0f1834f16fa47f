# Toy pre-training of DDAE on a CPU. Learning rate, warm-up and length are not a paper's. As with
# the authors, the average of the weights is what is saved for use.
_base_ = '../runtimes/pretrain.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100)]
train_cfg = dict(by_epoch=False, max_iters=3000)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=1000)
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=64)
custom_hooks = [
    dict(type='EMAHook', ema_type='mmaddp.RisingEMA', momentum=1e-4),
    dict(type='mmaddp.VisualizationHook', interval=1000),
]
