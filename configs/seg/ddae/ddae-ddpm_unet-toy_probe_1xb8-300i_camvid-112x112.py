# Linear segmentation of all 6 blocks of the toy UNet at three noise levels, on a CPU. The UNet has
# maps of stride 1 and 2, so images are halved.
_base_ = '../../_base_/probes/segmentation_camvid.py'

crop_size = (112, 112)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (240, 180)
train_pipeline[3].crop_size = crop_size
test_pipeline = _base_.test_pipeline
# Labels are compared at the original size.
test_pipeline.insert(1, dict(type='Resize', scale=(240, 180), keep_ratio=True))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

encoder = dict(
    type='mmaddp.DDAE',
    network=dict(
        type='mmaddp.DDAEUNet',
        base_channels=32,
        channel_multipliers=(1, 2, 3),
        attention_stages=(1,),
        num_blocks=1,
        attention_window=16,
    ),
    process=dict(type='mmaddp.DDPM', num_timesteps=1000),
    img_size=32,
)
model = dict(encoder=encoder, levels=[1, 61, 241], data_preprocessor=dict(size=crop_size))
