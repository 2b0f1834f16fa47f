# Table 17, 300 epochs: gentler learning rate, RandAugment 7, three views of an image in a batch,
# stochastic depth.
_base_ = './addp-resnet50_8xb256-amp-coslr-100e_in1k-256px.py'

model = dict(backbone=dict(drop_path_rate=0.05))

train_pipeline = _base_.train_pipeline
train_pipeline[3].magnitude_level = 7
train_dataloader = dict(
    sampler=dict(_delete_=True, type='RepeatAugSampler', shuffle=True, num_repeats=3),
    dataset=dict(pipeline=train_pipeline),
)

optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        by_epoch=True,
        begin=5,
        end=300,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=300)
