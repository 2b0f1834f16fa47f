# One's own images on a CPU: IMAGE_DIR names their folder.
_base_ = [
    '../../_base_/pretrainers/darl-mse_vit-l.py',
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/darl-toy_3000i.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=64,
        patch_size=8,
    ),
)
