_base_ = [
    '../../_base_/models/addp_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/addp-resnet50_300e.py',
]

# The last map has stride 32, 8 x 8 places of 2048 channels; the neck makes 16 x 16 of 512 of it.
model = dict(
    encoder=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(3,),
        style='pytorch',
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    neck=dict(type='mmaddp.PixelShuffleNeck', in_channels=2048, scale=2),
    decoder=dict(in_channels=512),
)
