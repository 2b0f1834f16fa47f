# Mask R-CNN on DDAE's UNet of 35.7M parameters. The finest level reads the last block of stride 4,
# the others that of stride 8; the network is truncated behind the former, and told the timestep
# that probes best on CIFAR-10. Images in [-1, 1] are padded by 0, mid-gray. Attention stays in
# windows of the 16 x 16 places that CIFAR-10 has, and every block is recomputed: the maps of stride
# 1 are large.
_base_ = './mask-rcnn_vit-b_sfp.py'

model = dict(
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], pad_size_divisor=64
    ),
    backbone=dict(
        _delete_=True,
        type='mmaddp.DDAEUNet',
        out_blocks=('out_6', 'out_3'),
        time=0.011,
        attention_window=16,
        with_cp=True,
    ),
    neck=dict(in_channels=256, scale_factors=(1.0, 1.0, 0.5, 0.25), in_indices=(0, 1, 1, 1)),
)
