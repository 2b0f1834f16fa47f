# The same network cut behind its block and trained as a whole, from scratch, for as many steps.
_base_ = './ddae-ddpm-unet-tiny_noise-conditional_1xb128-15e_cifar10-32px.py'

model = dict(pretrainer=dict(network=dict(init_cfg=None)), frozen=False)
