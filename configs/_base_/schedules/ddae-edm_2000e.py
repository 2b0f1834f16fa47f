# DDAE's pre-training by EDM, as in its authors' code: 200 epochs of warm-up, and an average that
# forgets sooner.
_base_ = './ddae_2000e.py'

param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=1 / 200, end=200)
custom_hooks = _base_.custom_hooks
custom_hooks[0].momentum = 7e-4
