# Pre-trains a tiny masked autoencoder on a folder of images: IMAGES=… python tools/train.py …
custom_imports = dict(imports=['mmaddp', 'tiny_mae'])
default_scope = 'mmpretrain'
runner_type = 'mmaddp.Runner'

model = dict(
    type='mmaddp.TinyMAE',
    encoder=dict(
        type='mmaddp.TinyMAEViT',
        arch=dict(embed_dims=32, num_layers=4, num_heads=2),
        img_size=64,
        patch_size=16,
        embed_norm=False,
    ),
    mask_schedule=dict(type='mmaddp.EvenMaskSchedule', low=0.6, high=0.8),
)

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root='{{$IMAGES:data/images}}',
        with_label=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=64),
            dict(type='PackInputs'),
        ],
    ),
)
train_cfg = dict(by_epoch=False, max_iters=6)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
default_hooks = dict(checkpoint=dict(type='mmaddp.CheckpointHook', by_epoch=False, interval=6))
custom_hooks = [dict(type='mmaddp.VisualizationHook', interval=3, num_images=2)]
log_level = 'WARNING'
