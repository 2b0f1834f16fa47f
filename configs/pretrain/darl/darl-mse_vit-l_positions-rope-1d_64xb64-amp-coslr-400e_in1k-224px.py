# Table 1: rotary positions over the raster order.
_base_ = './darl-mse_vit-l_64xb64-amp-coslr-400e_in1k-224px.py'

model = dict(backbone=dict(positions='rope-1d'))
