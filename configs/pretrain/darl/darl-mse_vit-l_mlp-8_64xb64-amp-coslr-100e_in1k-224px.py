# Table 2: a residual MLP of 8 layers as patch decoder.
_base_ = './darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(patch_decoder=dict(num_layers=8))
