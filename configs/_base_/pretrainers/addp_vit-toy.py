# ADDP at toy size: 4 blocks of 192 channels on 8 x 8 tokens of 64 x 64 images. TOKENIZER and
# TOKEN_PREDICTOR name checkpoints of toy VQGAN and MAGE, by default the zoo's. No size is from a
# paper. No dropout, since the training is short. The decoder gets no tokens (table 5) and predicts
# those of the image (target "delta", table 6): at this size the encoder learns little otherwise.
model = dict(
    type='mmaddp.ADDP',
    encoder=dict(
        type='mmaddp.ADDPViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=64,
        patch_size=8,
    ),
    decoder=dict(
        type='mmaddp.ADDPDecoder',
        in_channels=192,
        embed_dims=128,
        num_layers=4,
        num_heads=4,
        num_patches=64,
        num_embeddings=1024,
    ),
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
        init_cfg=dict(type='Pretrained', checkpoint='{{$TOKEN_PREDICTOR:zoo://mage-toy}}'),
    ),
    token_input='none',
    target='delta',
    label_smoothing=0.0,
    code_embeddings=True,
)
