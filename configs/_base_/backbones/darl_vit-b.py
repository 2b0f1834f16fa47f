# DARL's ViT-B/16. ENCODER names its checkpoint.
encoder = dict(type='mmaddp.DARLViT', arch='base')
pixel_values = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])

# Dense tasks use no mask. Rotary positions, interpolated from the pre-training grid, replace the
# relative ones of ViTDet and MAE.
dense = dict(
    **encoder,
    pretrain_img_size=224,
    final_norm=False,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-b_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
    ),
)

# ViTDet's windows and global blocks. The start token does not fit into windows. Table 11 is for
# ViT-L, so global blocks and drop path are those of ViTDet's ViT-B.
for_detection = dict(
    data_preprocessor=dict(**pixel_values, pad_size_divisor=1024),
    backbone=dict(
        **dense,
        img_size=1024,
        with_start_token=False,
        window_size=14,
        global_attn_indexes=(2, 5, 8, 11),
        drop_path_rate=0.1,
    ),
    neck=dict(in_channels=768),
)

# Maps from four depths, as for ADDP.
for_segmentation = dict(
    data_preprocessor=pixel_values,
    backbone=dict(**dense, img_size=512, drop_path_rate=0.1, out_indices=(3, 5, 7, 11)),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=768,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=dict(type='SyncBN', requires_grad=True),
    ),
)
