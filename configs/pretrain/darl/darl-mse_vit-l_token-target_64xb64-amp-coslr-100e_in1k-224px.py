# Table 16: VQ tokens are predicted from pixels, by a linear layer and cross entropy.
_base_ = './darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(
    target='tokens',
    tokenizer=dict(
        type='mmaddp.VQGAN',
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$TOKENIZER:checkpoints/vqgan_jax_strongaug.ckpt}}'
        ),
    ),
)
