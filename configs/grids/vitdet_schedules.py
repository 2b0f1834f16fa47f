# Other schedules for ViTDet's recipe of 100 epochs. CONFIG names another config of it, from
# configs/ and without .py.
name = '{{$CONFIG:det/addp/mask-rcnn_addp-vit-b_sfp_16xb4-lsj-100e_coco}}'
config = f'../{name}.py'

# The numbers of ../_base_/schedules/vitdet_25e.py.
milestones, max_iters, interval = [40972, 44387], 46094, 2426

# One GPU with 4 images: the gradients of 16 batches make a step of 64 images. MMEngine counts
# batches, not steps, so each number of the schedule is 16 times its number of steps. bfloat16 has
# the range of float32: no batch overflows and spoils the step of the other 15, and no loss needs
# scaling. Activations are recomputed.
accumulated = 16

variants = {
    '25e': {
        'param_scheduler.1.milestones': milestones,
        'train_cfg.max_iters': max_iters,
        'train_cfg.val_interval': interval,
        'default_hooks.checkpoint.interval': interval,
        'work_dir': f'work_dirs/{name}/25e',
    },
    '25e-1xb4-accum16': {
        'param_scheduler.0.end': 250 * accumulated,
        'param_scheduler.1.milestones': [step * accumulated for step in milestones],
        'train_cfg.max_iters': max_iters * accumulated,
        'train_cfg.val_interval': interval * accumulated,
        'default_hooks.checkpoint.interval': interval * accumulated,
        'optim_wrapper.accumulative_counts': accumulated,
        'optim_wrapper.dtype': 'bfloat16',
        'optim_wrapper.loss_scale': dict(enabled=False),
        'model.backbone.with_cp': True,
        'work_dir': f'work_dirs/{name}/25e-1xb4-accum16',
    },
}
