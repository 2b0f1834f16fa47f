_base_ = './darl-mse_vit-l_64xb64-amp-coslr-800e_in1k-224px.py'

model = dict(backbone=dict(arch='base'))
