# UperNet on maps from four depths of DARL's ViT-B: rotary positions, interpolated from the
# pre-training's grid, where MAE's transfer adds relative ones; no mask.
_base_ = './upernet_vit-b.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmaddp.DARLViT',
        arch='base',
        img_size=512,
        pretrain_img_size=224,
        final_norm=False,
        drop_path_rate=0.1,
        out_indices=(3, 5, 7, 11),
    )
)
