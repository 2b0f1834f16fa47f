# The same truncated network and the same number of steps from scratch (figure 5).
_base_ = './ddae-edm-ddpmpp_1xb128-amp-100e_cifar10-32px.py'

model = dict(backbone=dict(init_cfg=None))
