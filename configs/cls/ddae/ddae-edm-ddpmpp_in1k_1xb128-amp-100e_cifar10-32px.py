# ENCODER was pre-trained on ImageNet. The paper tells neither its images' size nor its origin; the
# parameters of table 3 are those of the network for CIFAR-10.
_base_ = './ddae-edm-ddpmpp_1xb128-amp-100e_cifar10-32px.py'

model = dict(
    backbone=dict(init_cfg=dict(checkpoint='{{$ENCODER:checkpoints/ddae-edm_ddpmpp_in1k.pth}}'))
)
