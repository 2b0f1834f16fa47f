# ViTDet's optimizer for your own data: 36 epochs, counted in epochs because folders differ in
# size. The learning rate is ViTDet's for 64 images, scaled to 16 by the square root of the batch,
# which suits Adam.
_base_ = '../runtimes/det.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.1),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.7),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=True, milestones=[32, 35], gamma=0.1),
]

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=36, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(checkpoint=dict(by_epoch=True, interval=4))
auto_scale_lr = dict(base_batch_size=16)
