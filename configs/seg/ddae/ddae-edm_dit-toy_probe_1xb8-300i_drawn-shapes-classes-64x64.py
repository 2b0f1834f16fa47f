# Linear segmentation of drawn rooms by all 4 blocks of the toy transformer at three noise levels.
# It runs on a CPU and needs no files. The base is that of depth: head and metric are replaced.
_base_ = [
    '../../_base_/pretrainers/ddae-edm_dit-toy.py',
    '../../_base_/probes/depth_drawn-shapes.py',
]

model = dict(
    encoder=_base_.pretrainer,
    levels=[1, 4, 8],
    head=dict(_delete_=True, type='mmaddp.LinearSegmentation', num_classes=6),
)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedIoU')
test_evaluator = dict(_delete_=True, type='mmaddp.NamedIoU')
