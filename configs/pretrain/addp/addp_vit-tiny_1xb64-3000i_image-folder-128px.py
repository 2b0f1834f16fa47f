# As many images as the small DARL and DDAE see.
_base_ = './addp_vit-tiny_1xb32-1000i_image-folder-128px.py'

train_dataloader = dict(batch_size=64)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 3000
train_cfg = dict(max_iters=3000)
default_hooks = dict(checkpoint=dict(interval=1000))
auto_scale_lr = dict(base_batch_size=64)
