# Mask2Former's 160,000 steps of 16 images with the numbers of MMSegmentation's
# mask2former_r50_8xb2-160k_ade20k-512x512. There the backbone learns at a tenth of the rate; here
# its layers decay as in MAE's UperNet. Query and level embeddings decay with the other weights.
_base_ = '../runtimes/seg.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.65),
    clip_grad=dict(max_norm=0.01, norm_type=2),
)

param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=160000, by_epoch=False)]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=5000)
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=16)
