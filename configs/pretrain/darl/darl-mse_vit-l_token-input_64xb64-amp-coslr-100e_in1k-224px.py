# Table 16: the transformer sees VQ tokens, and predicts pixels.
_base_ = './darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(
    inputs='tokens',
    tokenizer=dict(
        type='mmaddp.VQGAN',
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$TOKENIZER:checkpoints/vqgan_jax_strongaug.ckpt}}'
        ),
    ),
)
