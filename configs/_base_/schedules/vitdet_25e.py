# The 100 epochs of ViTDet cut to 25, the length of ADDP's comparison in appendix D.1: a quarter of
# the steps, the learning rate falls at the same 8/9 and 26/27 of them, the warm-up stays.
_base_ = './vitdet_100e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, milestones=[40972, 44387], gamma=0.1),
]

# 46,094 = 19 x 2,426: the last step is evaluated.
train_cfg = dict(max_iters=46094, val_interval=2426)
default_hooks = dict(checkpoint=dict(interval=2426))
