# Linear depth of all 4 blocks of the toy transformer at three noise levels, on a CPU. It needs no
# files.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_dit-toy.py',
    '../../_base_/probes/depth_drawn-shapes.py',
]

model = dict(encoder=_base_.pretrainer, levels=[1, 4, 8])
