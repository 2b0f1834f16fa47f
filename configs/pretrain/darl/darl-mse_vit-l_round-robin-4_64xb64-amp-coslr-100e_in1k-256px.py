# Table 7: one patch of each block of 4 x 4 in turn.
_base_ = './darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-256px.py'

model = dict(backbone=dict(order='round-robin', block_size=4))
