# A decoder of 2 blocks instead of 8; the paper has no such row.
_base_ = './addp_vit-b_64xb64-amp-coslr-150e_in1k-256px.py'

model = dict(decoder=dict(num_layers=2))
