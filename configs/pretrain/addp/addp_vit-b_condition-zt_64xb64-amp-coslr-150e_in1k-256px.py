# Table 3: the unreliable tokens of a step are predicted from its own reliable ones.
_base_ = './addp_vit-b_64xb64-amp-coslr-150e_in1k-256px.py'

model = dict(condition='z_t')
