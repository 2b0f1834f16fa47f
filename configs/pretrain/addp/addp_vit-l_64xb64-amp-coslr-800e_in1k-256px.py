_base_ = [
    '../../_base_/pretrainers/addp_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/addp_1600e.py',
]

# Section 4.1 has MAGE-Large as token predictor, and the released ViT-L file holds it.
model = dict(
    encoder=dict(arch='large'),
    decoder=dict(embed_dims=1024, num_heads=16),
    token_predictor=dict(
        encoder='large',
        init_cfg=dict(checkpoint='{{$TOKEN_PREDICTOR:checkpoints/mage-vitl-1600.pth}}'),
    ),
)

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 800
train_cfg = dict(max_epochs=800)
