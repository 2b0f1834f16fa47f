# Table 5: reliable tokens are fed into the encoder too.
_base_ = './addp_vit-b_64xb64-amp-coslr-150e_in1k-256px.py'

model = dict(token_input='encoder+decoder')
