# Table 1: the same under a causal mask.
_base_ = './darl-supervised-vit-l_32xb128-amp-coslr-200e_in1k-224px.py'

model = dict(backbone=dict(causal=True))
