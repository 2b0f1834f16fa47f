# ViT-L by the command that the authors release: base learning rate 2.5e-4 times 1024 / 256, 5
# epochs of warm-up. Table 15 prints that base rate as the peak, and 20 epochs of warm-up; the paper
# does not say which of the two gave 85.9.
_base_ = './vit-finetune_100e.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(layer_decay_rate=0.8))

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
        # 1e-6 for the head, and less below as the layers decay.
        eta_min_ratio=1e-6 / 1e-3,
        by_epoch=True,
        begin=5,
        end=50,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=50)
