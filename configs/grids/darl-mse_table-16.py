# DARL's table 16: VQ tokens as the transformer's input, or as its target (a linear layer and cross
# entropy).
config = '../pretrain/darl/darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'
tokenizer = dict(
    type='mmaddp.VQGAN',
    init_cfg=dict(
        type='Pretrained', checkpoint='{{$TOKENIZER:checkpoints/vqgan_jax_strongaug.ckpt}}'
    ),
)
variants = {
    'token-input': {'model.inputs': 'tokens', 'model.tokenizer': tokenizer},
    'token-target': {'model.target': 'tokens', 'model.tokenizer': tokenizer},
}
