# CIFAR-10 on a CPU: CIFAR10_DIR names the folder.
_base_ = [
    '../../_base_/pretrainers/darl-mse_vit-l.py',
    '../../_base_/datasets/cifar10-folder_32_pretrain.py',
    '../../_base_/schedules/darl-toy_3000i.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=32,
        patch_size=4,
    ),
)
