# Linear depth of all layers of the frozen network, by DINOv3's protocol.
_base_ = ['../../_base_/backbones/encoder.py', '../../_base_/probes/nyu_dinov3.py']

model = dict(encoder=_base_.backbone)
