# The same network and the same number of steps from scratch: all layers learn alike.
_base_ = './addp-vit-tiny_1xb64-20e_cifar10-128px.py'

model = dict(backbone=dict(init_cfg=None))

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=1.0))
