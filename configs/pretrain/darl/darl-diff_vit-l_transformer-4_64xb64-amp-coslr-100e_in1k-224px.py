# Table 2: 4 transformer blocks, not told the noise level.
_base_ = './darl-diff_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(patch_decoder=dict(num_layers=4))
