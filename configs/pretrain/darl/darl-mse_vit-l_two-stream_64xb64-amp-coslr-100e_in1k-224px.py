# Figure 6: two streams (appendix A.5) in raster order.
_base_ = './darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(backbone=dict(two_stream=True))
