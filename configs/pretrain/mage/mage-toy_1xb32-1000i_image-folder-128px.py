# A toy token predictor of one's own images for a CPU, on the tokens of ../vqgan's toy tokenizer:
# TOKENIZER=…. Sizes, learning rate and length are not a paper's; the objective is MAGE's.
_base_ = [
    '../../_base_/datasets/image-folder_128_pretrain.py',
    '../../_base_/schedules/pretrain-toy_1000i.py',
]

model = dict(
    type='mmaddp.MAGETrainer',
    tokenizer=dict(
        type='mmaddp.VQGAN',
        base_channels=16,
        embed_dims=64,
        num_embeddings=256,
        norm_groups=4,
        init_cfg=dict(type='Pretrained', checkpoint='{{$TOKENIZER:checkpoints/vqgan-toy.pth}}'),
    ),
    token_predictor=dict(
        type='mmaddp.MAGE',
        encoder=dict(embed_dims=192, num_layers=4, num_heads=3),
        decoder=dict(embed_dims=192, num_layers=2, num_heads=3),
        num_patches=64,
        num_embeddings=256,
        drop_rate=0.1,
    ),
    label_smoothing=0.1,
)

custom_hooks = [dict(type='mmaddp.LossByMaskRatioHook')]
