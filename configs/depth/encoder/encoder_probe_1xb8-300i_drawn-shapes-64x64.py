# Linear depth of all layers of the frozen network on drawn rooms, on a CPU: no files needed.
_base_ = ['../../_base_/backbones/encoder.py', '../../_base_/probes/depth_drawn-shapes.py']

model = dict(encoder=_base_.backbone)
