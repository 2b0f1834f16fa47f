# ViTDet on DARL's ViT-L: rotary positions, in global blocks interpolated from the pre-training's
# grid, where ViTDet has relative ones; no start token, which windows have no place for; no mask.
# Drop path is table 11's.
_base_ = './cascade-mask-rcnn_vit-l_sfp.py'

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
