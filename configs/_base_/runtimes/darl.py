# DARL's pre-training as it is watched: what it sees and predicts, in work_dir/visualizations.
_base_ = './pretrain.py'

custom_hooks = [dict(type='mmaddp.VisualizationHook', interval=1000)]
