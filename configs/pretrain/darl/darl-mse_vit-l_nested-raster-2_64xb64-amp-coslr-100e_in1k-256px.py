# Table 7: blocks of 2 x 2 patches one after the other.
_base_ = './darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-256px.py'

model = dict(backbone=dict(order='nested-raster', block_size=2))
