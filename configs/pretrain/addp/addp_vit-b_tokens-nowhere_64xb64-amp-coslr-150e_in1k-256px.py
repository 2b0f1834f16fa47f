# Table 5: no reliable token is fed in.
_base_ = './addp_vit-b_64xb64-amp-coslr-150e_in1k-256px.py'

model = dict(token_input='none')
