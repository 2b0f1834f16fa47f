# Table 3: attention is masked, and the mean of all patches is read.
_base_ = './darl-mse-vit-l_32xb128-amp-coslr-50e_in1k-224px.py'

model = dict(backbone=dict(causal=True), neck=dict(_delete_=True, type='GlobalAveragePooling'))
