_base_ = [
    '../../_base_/pretrainers/mage_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/mage_1600e.py',
]

model = dict(
    token_predictor=dict(encoder='large', decoder=dict(embed_dims=1024, num_layers=8, num_heads=16))
)
