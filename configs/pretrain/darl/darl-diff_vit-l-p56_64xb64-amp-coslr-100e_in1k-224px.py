# Figure 5: patches of 56 x 56 pixels.
_base_ = './darl-diff_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(backbone=dict(patch_size=56))
