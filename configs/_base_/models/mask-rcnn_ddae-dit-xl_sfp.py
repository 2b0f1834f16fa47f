# Mask R-CNN on half of DiT-XL/2, behind Stable Diffusion's frozen autoencoder, whose folder is
# AUTOENCODER. A place of its map is 16 pixels wide, as ViTDet's; its attention is global, and its
# positions are interpolated. Block and timestep are those that probe best on Tiny-ImageNet.
_base_ = './mask-rcnn_vit-b_sfp.py'

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
