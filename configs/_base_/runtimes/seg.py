# The runtime of segmentors. Logs also go to TensorBoard.
default_scope = 'mmseg'
custom_imports = dict(imports=['mmaddp'], allow_failed_imports=False)
runner_type = 'mmaddp.Runner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmaddp.CheckpointHook', interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    data_check=dict(type='mmaddp.DataCheckHook'),
    finite_loss=dict(type='mmaddp.FiniteLossHook'),
    visualization=dict(type='SegVisualizationHook'),
)

visualizer = dict(
    type='SegLocalVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
    name='visualizer',
)

# Without a GPU, processes use gloo regardless of this setting.
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

# Without a seed, a random one is sampled and saved in the checkpoints for --resume.
randomness = dict(seed=None, deterministic=False)

log_level = 'INFO'
load_from = None
resume = False
