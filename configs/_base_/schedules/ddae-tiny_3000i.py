# The small pre-trainings on a CPU; learning rate, warm-up and length are no paper's. What is saved
# for use is the average of the weights, the authors' way.
_base_ = '../runtimes/ddae.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100)]
train_cfg = dict(by_epoch=False, max_iters=3000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=64)
custom_hooks = [
    dict(type='EMAHook', ema_type='mmaddp.RisingEMA', momentum=1e-4),
    *_base_.custom_hooks,
]
