# Two optimizers, one for the tokenizer and one for the discriminator;
# configs/pretrain/vqgan/README.md gives the source of each number.
_base_ = '../runtimes/pretrain.py'

wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    # bfloat16 has float32's range: nothing underflows, so there is nothing to scale.
    loss_scale=dict(enabled=False),
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.9)),
)
optim_wrapper = dict(
    constructor='mmaddp.PartsOptimWrapperConstructor',
    tokenizer=wrapper,
    discriminator=wrapper,
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=5000),
]
train_cfg = dict(by_epoch=False, max_iters=500000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=128)
