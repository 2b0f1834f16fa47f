# Tiny-ImageNet's training images for pre-training, with flips only: TINY_IMAGENET_DIR names the
# folder of the unpacked archive. Labels are ignored.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmaddp.TinyImageNet',
        data_root='{{$TINY_IMAGENET_DIR:data/tiny-imagenet-200}}',
        split='train',
        pipeline=train_pipeline,
    ),
)
