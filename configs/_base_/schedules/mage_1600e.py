# MAGE's released command: ADDP's, with a base learning rate of 1.5e-4 times 4096 / 256.
_base_ = './addp_1600e.py'

optim_wrapper = dict(optimizer=dict(lr=2.4e-3))
default_hooks = dict(checkpoint=dict(interval=10))
# ADDP's pictures are of ADDP alone.
custom_hooks = [dict(type='mmaddp.LossByMaskRatioHook')]
