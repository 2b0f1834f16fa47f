# small.py at a fraction of its budget, for an hour or two of two cores: encoders that saw 100
# steps, a quarter of 10,000 images of CIFAR-10, 40 steps of the detector, 30 of the segmentor.
_base_ = './small.py'

quarter = {'train_dataloader.dataset.indices': list(range(0, 10_000, 4))}
tasks = dict(
    probe=dict(options=quarter),
    cls=dict(
        options={
            **quarter,
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'param_scheduler.0.end': 0.25,
            'param_scheduler.1.begin': 0.25,
            'param_scheduler.1.end': 1,
        }
    ),
    det=dict(
        options={
            'train_cfg.max_iters': 40,
            'train_cfg.val_interval': 40,
            'param_scheduler.0.end': 10,
            'param_scheduler.1.end': 40,
        }
    ),
    seg=dict(
        options={
            'train_cfg.max_iters': 30,
            'train_cfg.val_interval': 30,
            'param_scheduler.0.end': 10,
            'param_scheduler.1.begin': 10,
            'param_scheduler.1.end': 30,
        }
    ),
)

methods = _base_.methods
for row in methods.values():
    for task in ('probe', 'cls', 'det', 'seg'):
        if 'checkpoint' in row[task]:
            row[task].checkpoint = row[task].checkpoint.replace('iter_3000', 'iter_100')
for name in ('ddae', 'ddae_scratch'):
    methods[name].probe.options = {'model.levels': [31, 121]}

# DDAE's encoder of CIFAR-10 stands in for one of photographs, which would take too long. Of its
# network one resolution has maps of the width that the heads read.
dense = {
    'model.backbone.channel_multipliers': (1, 2, 3),
    'model.backbone.num_blocks': 1,
    'model.backbone.out_blocks': ['out_4'],
    'model.neck.scale_factors': (1.0, 0.5, 0.25, 0.125),
    'model.neck.in_indices': (0, 0, 0, 0),
}
for name in ('ddae', 'ddae_scratch'):
    for task in ('det', 'seg'):
        methods[name][task].options = dense
for task in ('det', 'seg'):
    methods.ddae[task].checkpoint = methods.ddae.cls.checkpoint
