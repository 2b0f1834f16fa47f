_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/avg-pool-norm.py',
    '../../_base_/datasets/imagenet_256_randaug-9-erasing.py',
    '../../_base_/schedules/vit-finetune_100e.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(
        **_base_.encoder,
        img_size=256,
        embed_norm=False,
        final_norm=False,
        drop_path_rate=0.1,
    ),
)
