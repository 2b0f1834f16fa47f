# Figure 5: patches of 32 x 32 pixels.
_base_ = './darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(backbone=dict(patch_size=32))
