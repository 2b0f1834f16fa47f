# The same backbone as Mask R-CNN's, under a Cascade.
_base_ = './cascade-mask-rcnn_vit-b_sfp.py'

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='mmaddp.DDAEDiT',
        arch='xlarge',
        out_blocks=('layer-13',),
        time=81,
        autoencoder=dict(
            type='mmaddp.KLAutoencoder', folder='{{$AUTOENCODER:checkpoints/sd-vae-ft-mse}}'
        ),
        with_cp=True,
    ),
    neck=dict(in_channels=1152),
)
