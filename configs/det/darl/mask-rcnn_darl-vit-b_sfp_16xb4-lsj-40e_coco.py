# Table 11 is ViT-L's. Global blocks and drop path are those of ViTDet's ViT-B.
_base_ = './mask-rcnn_darl-vit-l_sfp_16xb4-lsj-40e_coco.py'

model = dict(
    backbone=dict(
        arch='base',
        global_attn_indexes=(2, 5, 8, 11),
        drop_path_rate=0.1,
        init_cfg=dict(
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-b_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}'
        ),
    ),
    neck=dict(in_channels=768),
)
