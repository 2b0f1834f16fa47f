# Table 4: unreliable tokens are sampled.
_base_ = './addp_vit-b_64xb64-amp-coslr-150e_in1k-256px.py'

model = dict(mapping='Sampling')
