# Attention is masked as in pre-training.
_base_ = './darl-vit-tiny_1xb64-20e_cifar10-32px.py'

model = dict(backbone=dict(causal=True))
