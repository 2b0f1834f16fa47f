# UperNet on four depths of half of DiT-XL/2, behind Stable Diffusion's frozen autoencoder, whose
# folder is AUTOENCODER. A place of its maps is 16 pixels wide; positions are interpolated.
_base_ = './upernet_vit-b.py'

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='mmaddp.DDAEDiT',
        arch='xlarge',
        out_blocks=('layer-4', 'layer-7', 'layer-10', 'layer-13'),
        time=81,
        autoencoder=dict(
            type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
        ),
    ),
    neck=dict(embed_dim=1152),
    decode_head=dict(in_channels=[1152, 1152, 1152, 1152], channels=1152),
    auxiliary_head=dict(in_channels=1152),
)
