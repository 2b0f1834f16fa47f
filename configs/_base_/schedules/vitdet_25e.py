# ViTDet's recipe cut to 25 epochs, the length of ADDP's comparison in appendix D.1: a quarter of
# the steps. The learning rate falls after the same 8/9 and 26/27 of them; the warm-up stays.
_base_ = '../runtimes/det.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.1),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.7),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, milestones=[40972, 44387], gamma=0.1),
]

# 46,094 = 19 x 2,426: the last step is evaluated.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=46094, val_interval=2426)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=2426)
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=64)
