# ADDP's pre-training as it is watched: the loss by mask ratio in the log; reconstructions,
# predictions and samples in work_dir/visualizations.
_base_ = './pretrain.py'

custom_hooks = [
    dict(type='mmaddp.LossByMaskRatioHook'),
    dict(type='mmaddp.VisualizationHook', interval=1000),
]
