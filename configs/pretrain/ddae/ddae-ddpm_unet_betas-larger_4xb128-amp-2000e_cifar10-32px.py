# Figure 4: the larger half of the range of betas.
_base_ = './ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px.py'

model = dict(process=dict(beta_start=0.01005))
