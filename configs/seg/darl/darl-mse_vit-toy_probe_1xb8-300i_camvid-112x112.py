# Linear segmentation of all 4 blocks of a toy encoder, and of the four joined, on a CPU.
_base_ = '../../_base_/probes/segmentation_camvid_112x112.py'

model = dict(
    encoder=dict(
        type='mmaddp.DARLViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=112,
        patch_size=8,
    ),
    layers=['block_1', 'block_2', 'block_3', 'block_4', 'block_1+block_2+block_3+block_4'],
)
