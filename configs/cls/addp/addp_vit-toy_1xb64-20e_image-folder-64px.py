# The zoo's ADDP encoder, fine-tuned on your own images in minutes on two CPU cores. From scratch:
# --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/avg-pool-norm.py',
    '../../_base_/datasets/image-folder_64.py',
    '../../_base_/schedules/toy-finetune_20e.py',
]

num_classes = _base_.num_classes

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=num_classes),
    backbone=dict(
        _base_.encoder,
        embed_norm=False,
        final_norm=False,
        drop_path_rate=0.0,
    ),
    neck=dict(in_channels=192),
    head=dict(in_channels=192, num_classes=num_classes),
)

optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.999)))
