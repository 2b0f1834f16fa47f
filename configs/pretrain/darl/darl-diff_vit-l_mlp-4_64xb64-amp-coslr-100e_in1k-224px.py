# Table 2: a residual MLP of 4 layers, not told the noise level.
_base_ = './darl-diff_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(
    patch_decoder=dict(_delete_=True, type='mmaddp.MLPPatchDecoder', num_layers=4, noisy=True)
)
