# The same by EDM.
_base_ = './ddae-ddpm_unet-tiny_1xb64-3000i_cifar10-32px.py'

model = dict(network=dict(dropout=0.13), process=dict(_delete_=True, type='mmaddp.EDM'))
