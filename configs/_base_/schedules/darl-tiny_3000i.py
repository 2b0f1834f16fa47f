# The small pre-trainings on a CPU; learning rate, warm-up and length are no paper's.
_base_ = './pretrain-tiny_1000i.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 3000
train_cfg = dict(max_iters=3000)
default_hooks = dict(checkpoint=dict(interval=1000))
auto_scale_lr = dict(base_batch_size=64)
custom_hooks = [dict(type='mmaddp.VisualizationHook', interval=500)]
