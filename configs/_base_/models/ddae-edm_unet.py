# DDAE by EDM with DDPM's UNet; its authors then drop out more.
_base_ = './ddae-ddpm_unet.py'

model = dict(network=dict(dropout=0.13), process=dict(_delete_=True, type='mmaddp.EDM'))
