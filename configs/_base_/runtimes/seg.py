_base_ = '../default_runtime.py'

default_scope = 'mmseg'

default_hooks = dict(visualization=dict(type='SegVisualizationHook'))
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)
