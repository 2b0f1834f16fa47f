# ADDP at toy size: 4 blocks of 192 channels on 8 x 8 tokens of 128 x 128 images, the tokens of
# toy VQGAN and MAGE (TOKENIZER and TOKEN_PREDICTOR name their checkpoints). No size is a paper's.
model = dict(
    type='mmaddp.ADDP',
    encoder=dict(
        type='mmaddp.ADDPViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=128,
        drop_rate=0.1,
    ),
    decoder=dict(
        type='mmaddp.ADDPDecoder',
        embed_dims=192,
        num_layers=4,
        num_heads=3,
        num_patches=64,
        num_embeddings=256,
        drop_rate=0.1,
    ),
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
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$TOKEN_PREDICTOR:checkpoints/mage-toy.pth}}'
        ),
    ),
    label_smoothing=0.1,
)
