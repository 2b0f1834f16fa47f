# Table 12: 20,000 steps of 256 images. Its "warm-up epochs 3000" are read as steps, for a training
# of 20,000 steps has fewer epochs than that on all but toy data. Learning rate, weight decay, layer
# decay (and drop path and augmentation) are swept; here stand the first values of the table.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.7),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=3000),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=3000, end=20000),
]

train_cfg = dict(by_epoch=False, max_iters=20000, val_interval=5000)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=256)
