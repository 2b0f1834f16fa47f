# Table 3: attention is masked as in pre-training.
_base_ = './darl-mse-vit-l_32xb128-amp-coslr-50e_in1k-224px.py'

model = dict(backbone=dict(causal=True))
