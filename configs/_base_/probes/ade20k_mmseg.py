# MMSegmentation's default recipe for ADE20K (schedule_160k.py, ade20k.py): SGD, 16 images, whole
# images in the test.
_base_ = ['../datasets/ade20k_512x512.py', '../runtimes/seg.py']

model = dict(
    type='mmaddp.GridProbe',
    head=dict(type='mmaddp.LinearSegmentation', num_classes=150, avg_non_ignore=False),
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        size=(512, 512),
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=16),
    ),
)

train_dataloader = dict(batch_size=4)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    constructor='mmaddp.ProbeOptimWrapperConstructor',
)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False, begin=0, end=160000)
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=16000, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=16)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedIoU')
test_evaluator = val_evaluator
