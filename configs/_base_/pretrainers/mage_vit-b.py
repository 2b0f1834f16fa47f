# MAGE's masked-token objective with a ViT-B, on the tokens of a frozen tokenizer.
model = dict(
    type='mmaddp.MAGETrainer',
    tokenizer=dict(
        type='mmaddp.VQGAN',
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$TOKENIZER:checkpoints/vqgan_jax_strongaug.ckpt}}'
        ),
    ),
    token_predictor=dict(
        type='mmaddp.MAGE',
        encoder='base',
        # The released decoder has 16 heads here too.
        decoder=dict(embed_dims=768, num_layers=8, num_heads=16),
        drop_rate=0.1,
    ),
    label_smoothing=0.1,
)
