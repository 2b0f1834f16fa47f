# Linear segmentation of all layers of the frozen network, by DINOv2's protocol.
_base_ = ['../../_base_/backbones/encoder.py', '../../_base_/probes/ade20k_dinov2.py']

model = dict(encoder=_base_.backbone)
