# Table 1: from scratch with no positions.
_base_ = './darl-supervised-vit-l_32xb128-amp-coslr-200e_in1k-224px.py'

model = dict(backbone=dict(positions='none'))
