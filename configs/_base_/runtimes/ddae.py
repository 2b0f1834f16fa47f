# DDAE's pre-training as it is watched: what it makes of noised images and what it generates, in
# work_dir/visualizations.
_base_ = './pretrain.py'

custom_hooks = [dict(type='mmaddp.VisualizationHook', interval=1000)]
