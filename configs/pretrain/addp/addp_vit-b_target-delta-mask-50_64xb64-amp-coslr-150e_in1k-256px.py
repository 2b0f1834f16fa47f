# Table 6: the tokens themselves are the target, and half of them are masked always.
_base_ = './addp_vit-b_64xb64-amp-coslr-150e_in1k-256px.py'

model = dict(target='delta', mask_schedule=dict(fixed_ratio=0.5))
