# A toy token predictor of your own images for a CPU, on the tokens of ../vqgan's toy tokenizer:
# TOKENIZER=…, by default the zoo's. The objective is MAGE's. Sizes, learning rate and length are
# not from a paper.
_base_ = [
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/darl-toy_3000i.py',
]

model = dict(
    type='mmaddp.MAGETrainer',
    tokenizer=dict(
        type='mmaddp.VQGAN',
        base_channels=16,
        channel_multipliers=(1, 3, 3, 3),
        embed_dims=32,
        num_embeddings=1024,
        norm_groups=8,
        init_cfg=dict(type='Pretrained', checkpoint='{{$TOKENIZER:zoo://vqgan-toy}}'),
    ),
    token_predictor=dict(
        type='mmaddp.MAGE',
        encoder=dict(embed_dims=192, num_layers=4, num_heads=3),
        decoder=dict(embed_dims=128, num_layers=2, num_heads=4),
        num_patches=64,
        num_embeddings=1024,
    ),
    label_smoothing=0.1,
    code_embeddings=True,
)

custom_hooks = [dict(type='mmaddp.LossByMaskRatioHook')]
