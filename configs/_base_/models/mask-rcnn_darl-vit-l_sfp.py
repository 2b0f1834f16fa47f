# The same backbone as the Cascade's, under a Mask R-CNN.
_base_ = './mask-rcnn_vit-l_sfp.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmaddp.DARLViT',
        arch='large',
        img_size=1024,
        pretrain_img_size=224,
        with_start_token=False,
        final_norm=False,
        window_size=14,
        global_attn_indexes=(5, 11, 17, 23),
        drop_path_rate=0.4,
    )
)
