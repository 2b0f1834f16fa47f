# Linear depth of all 4 blocks of the toy transformer at three noise levels, on a CPU. It
# needs no files.
_base_ = '../../_base_/probes/depth_drawn-shapes.py'

encoder = dict(
    type='mmaddp.DDAE',
    network=dict(
        type='mmaddp.DDAEDiT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        input_size=64,
        patch_size=8,
        in_channels=3,
        num_classes=1,
        learn_sigma=False,
    ),
    process=dict(type='mmaddp.EDM'),
    img_size=64,
)
model = dict(encoder=encoder, levels=[1, 4, 8])
