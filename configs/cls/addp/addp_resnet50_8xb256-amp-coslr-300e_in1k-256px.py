# Table 17, 300 epochs: a lower learning rate, RandAugment 7, three views of an image in a batch,
# and stochastic depth.
_base_ = [
    '../../_base_/backbones/resnet50.py',
    '../../_base_/heads/avg-pool-bce.py',
    '../../_base_/datasets/imagenet_256_randaug-6.py',
    '../../_base_/schedules/resnet50-finetune_100e.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(
        **_base_.encoder,
        drop_path_rate=0.05,
    ),
)

train_pipeline = _base_.train_pipeline
train_pipeline[3].magnitude_level = 7
train_dataloader = dict(
    sampler=dict(_delete_=True, type='RepeatAugSampler', shuffle=True, num_repeats=3),
    dataset=dict(pipeline=train_pipeline),
)

optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 300
train_cfg = dict(max_epochs=300)
