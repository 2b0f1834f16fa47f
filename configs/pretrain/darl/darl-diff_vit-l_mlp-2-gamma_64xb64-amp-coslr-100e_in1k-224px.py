# Table 2: a residual MLP of 2 layers, told the noise level.
_base_ = './darl-diff_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(
    patch_decoder=dict(
        _delete_=True,
        type='mmaddp.MLPPatchDecoder',
        num_layers=2,
        noisy=True,
        condition_on_gamma=True,
    )
)
