# Fine-tuning of DDAE. Section 4 uses neither mixup nor cutmix, only light
# augmentation. The authors' code has no fine-tuning. So this is our choice: Adam as they
# train and probe with, 128 images and the learning rate of the pre-training, clipped gradients as
# there, 5 of 100 epochs of warm-up, then a cosine to 0.
_base_ = '../runtimes/cls.py'

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(type='Adam', lr=1e-4),
    clip_grad=dict(max_norm=1.0),
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        begin=5,
        end=100,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()

default_hooks = dict(checkpoint=dict(interval=5))
auto_scale_lr = dict(base_batch_size=128)
