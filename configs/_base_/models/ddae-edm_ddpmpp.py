# DDAE by EDM with DDPM++; its authors then drop out more.
_base_ = './ddae-ddpm_ddpmpp.py'

model = dict(network=dict(dropout=0.13), process=dict(_delete_=True, type='mmaddp.EDM'))
