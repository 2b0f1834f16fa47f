# Figure 6: two streams, each image's patches in an order of their own.
_base_ = './darl-mse_vit-l_two-stream_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(random_order=True)
