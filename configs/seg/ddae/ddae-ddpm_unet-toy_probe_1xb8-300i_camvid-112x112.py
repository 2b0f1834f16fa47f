# Linear segmentation of all 6 blocks of the toy UNet at three noise levels, on a CPU.
_base_ = '../../_base_/probes/segmentation_camvid_112x112.py'

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
model = dict(encoder=encoder, levels=[1, 61, 241])
