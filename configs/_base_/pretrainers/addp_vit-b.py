# ADDP with a ViT-B (section 4.1, appendix D.2): 8 decoder blocks of 768 channels; MAGE's tokenizer
# and base model, both frozen. The defaults are the paper's too: 'WeightedSum', 'z_t+1', tokens into
# the decoder only, q as the target.
model = dict(
    type='mmaddp.ADDP',
    encoder=dict(type='mmaddp.ADDPViT', arch='base', img_size=256, drop_rate=0.1),
    decoder=dict(
        type='mmaddp.ADDPDecoder', embed_dims=768, num_layers=8, num_heads=16, drop_rate=0.1
    ),
    tokenizer=dict(
        type='mmaddp.VQGAN',
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$TOKENIZER:checkpoints/vqgan_jax_strongaug.ckpt}}'
        ),
    ),
    token_predictor=dict(
        type='mmaddp.MAGE',
        encoder='base',
        # Active in training, as in the authors' (token_predictor.py, lines 180 and 190).
        drop_rate=0.1,
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$TOKEN_PREDICTOR:checkpoints/mage-vitb-1600.pth}}'
        ),
    ),
    label_smoothing=0.1,
)
