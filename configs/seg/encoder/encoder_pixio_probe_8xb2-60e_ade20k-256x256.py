# Linear segmentation of all layers of the frozen network, by Pixio's protocol.
_base_ = ['../../_base_/backbones/encoder.py', '../../_base_/probes/ade20k_pixio.py']

model = dict(encoder=_base_.backbone)
