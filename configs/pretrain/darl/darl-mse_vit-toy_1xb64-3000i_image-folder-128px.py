# 128 x 128 with patches of 16 x 16, as in the toy detectors and segmentors.
_base_ = [
    '../../_base_/pretrainers/darl-mse_vit-l.py',
    '../../_base_/datasets/image-folder_128_pretrain.py',
    '../../_base_/schedules/darl-toy_3000i.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=128,
        patch_size=16,
    ),
)

train_dataloader = dict(batch_size=64)
