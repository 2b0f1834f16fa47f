# Everything small, for one's own images and a CPU: IMAGE_DIR names the images.
_base_ = [
    '../../_base_/models/darl-mse_vit-l.py',
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/darl-tiny_3000i.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=64,
        patch_size=8,
    )
)
