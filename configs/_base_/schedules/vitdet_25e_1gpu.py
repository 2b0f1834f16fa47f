# One GPU, 4 images at a time: gradients of 16 batches make a step of 64 images. MMEngine counts
# batches, not steps, so every number of the schedule is 16 times its number of steps. bfloat16 has
# the range of float32, so that no batch's gradients overflow and spoil the step of the other 15,
# and no loss needs scaling.
_base_ = './vitdet_25e.py'

accumulative_counts = 16

optim_wrapper = dict(
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    accumulative_counts=accumulative_counts,
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        by_epoch=False,
        begin=0,
        end=250 * accumulative_counts,
    ),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        milestones=[40972 * accumulative_counts, 44387 * accumulative_counts],
        gamma=0.1,
    ),
]

train_cfg = dict(
    max_iters=46094 * accumulative_counts,
    val_interval=2426 * accumulative_counts,
)
default_hooks = dict(checkpoint=dict(interval=2426 * accumulative_counts))
