# Linear segmentation of all layers of the frozen network, on a CPU.
_base_ = ['../../_base_/backbones/encoder.py', '../../_base_/probes/segmentation_camvid.py']

model = dict(encoder=_base_.backbone)
