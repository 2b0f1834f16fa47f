# Table 2: a residual MLP of 1 layer, not told the noise level.
_base_ = './darl-diff_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(
    patch_decoder=dict(_delete_=True, type='mmaddp.MLPPatchDecoder', num_layers=1, noisy=True)
)
