# Table 14: pixels normalized by mean and deviation of their patch are the target.
_base_ = './darl-mse_vit-h_64xb64-amp-coslr-800e_in1k-224px.py'

model = dict(target='normalized-pixels')
