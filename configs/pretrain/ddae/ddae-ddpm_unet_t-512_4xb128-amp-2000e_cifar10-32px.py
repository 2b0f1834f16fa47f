# Figure 4: 512 noise levels.
_base_ = './ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px.py'

model = dict(process=dict(num_timesteps=512))
