# Everything small, so that two CPU cores train it in minutes: from scratch, 600 steps.
_base_ = '../addp/upernet_addp-vit-tiny_1xb8-600i_camvid-224x224.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmaddp.DARLViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=224,
        final_norm=False,
        out_indices=(0, 1, 2, 3),
    )
)
