# Everything small, so that two CPU cores train it in minutes: from scratch, at 192 x 192.
_base_ = '../addp/mask-rcnn_addp-vit-tiny_sfp_1xb4-500i_coco-folder.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmaddp.DARLViT',
        arch=dict(embed_dims=192, num_layers=4, num_heads=3),
        img_size=192,
        with_start_token=False,
        final_norm=False,
        window_size=6,
        global_attn_indexes=(1, 3),
    )
)
