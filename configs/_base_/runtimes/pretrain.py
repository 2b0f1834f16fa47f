# Pre-training has neither labels nor a validation; MMPretrain's scope lends its pipelines. All that
# is logged or drawn goes to TensorBoard too.
_base_ = '../default_runtime.py'

default_scope = 'mmpretrain'

visualizer = dict(
    type='UniversalVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
