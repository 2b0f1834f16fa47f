# DiT's encoder by the recipe of ADDP's fine-tuning (its table 15), so that the two can be compared;
# the authors of DDAE fine-tune on smaller data alone. Block and timestep are those of CIFAR-10.
_base_ = '../addp/addp-vit-b_8xb128-amp-coslr-100e_in1k-256px.py'

# What tools/probe.py found, if named: its block and time in place of those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='mmaddp.DDAEDiT',
        arch='xlarge',
        out_blocks=('layer-13',),
        time=121,
        autoencoder=dict(
            type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
        ),
        init_cfg=dict(type='Pretrained', checkpoint='{{$ENCODER:checkpoints/DiT-XL-2-256x256.pt}}'),
    ),
    neck=dict(in_channels=1152),
    head=dict(in_channels=1152),
)
