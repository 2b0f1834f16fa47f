# The same truncated network and the same number of steps from scratch (figure 5).
_base_ = './ddae-edm-ddpmpp_1xb128-amp-100e_tiny-imagenet-64px.py'

model = dict(backbone=dict(init_cfg=None))
