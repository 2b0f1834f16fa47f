# DARL's table 9: learning rate 1e-3 (3e-3 for ViT-H) for 4,096 images, not scaled any further,
# layer decay 0.75, 5 epochs of warm-up. The floor of the cosine is MAE's.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='mmaddp.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75),
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        # 1e-6 for the head, and less below as the layers decay: MAE's floor scales with them.
        eta_min_ratio=1e-6 / 1e-3,
        by_epoch=True,
        begin=5,
        end=90,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=90, val_interval=1)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=1))
auto_scale_lr = dict(base_batch_size=4096)
