# Table 15 for ViT-B, on which the paper and the authors' released command agree: base learning rate
# 1e-3 times 1024 / 256, layer decay 0.65, 20 of 100 epochs of warm-up.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=4e-3, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.65),
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        # 1e-6 for the head, and less below as the layers decay: MAE's floor scales with them.
        eta_min_ratio=1e-6 / 4e-3,
        by_epoch=True,
        begin=20,
        end=100,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=1))
auto_scale_lr = dict(base_batch_size=1024)
