# One's own images by the recipe of ImageNet, the learning rate scaled to 128 images a step.
_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/avg-pool-norm.py',
    '../../_base_/datasets/class-folder_256.py',
    '../../_base_/schedules/vit-finetune_100e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=num_classes),
    backbone=dict(
        **_base_.encoder,
        img_size=256,
        embed_norm=False,
        final_norm=False,
        drop_path_rate=0.1,
    ),
    head=dict(num_classes=num_classes),
)

optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(base_batch_size=128)
