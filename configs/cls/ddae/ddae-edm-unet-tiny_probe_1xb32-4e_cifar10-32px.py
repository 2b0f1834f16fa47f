# The small EDM; its levels are 6 of 18.
_base_ = './ddae-ddpm-unet-tiny_probe_1xb32-4e_cifar10-32px.py'

model = dict(
    encoder=dict(network=dict(dropout=0.13), process=dict(_delete_=True, type='mmaddp.EDM')),
    levels=[1, 3, 4, 5, 6, 8],
)
