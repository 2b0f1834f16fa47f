# ADDP's ViT-L.
encoder = dict(
    type='mmaddp.ADDPViT',
    arch='large',
    init_cfg=dict(type='Pretrained', checkpoint='checkpoints/addp-vit-large-16.pth'),
)
pixel_values = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])

# Dense tasks: no class token, no norms from pre-training, and decomposed relative positions
# initialized to zero.
dense = dict(
    **encoder,
    pretrain_img_size=256,
    with_cls_token=False,
    embed_norm=False,
    final_norm=False,
    use_rel_pos=True,
)

# ViTDet: windows with four global blocks. Training and testing pad every input to a square of 1024
# pixels after normalization. The relative positions are built for this grid.
for_detection = dict(
    data_preprocessor=dict(**pixel_values, pad_size_divisor=1024),
    backbone=dict(
        **dense,
        img_size=1024,
        window_size=14,
        global_attn_indexes=(5, 11, 17, 23),
        drop_path_rate=0.4,
    ),
    neck=dict(in_channels=1024),
)

# MAE's UperNet: maps from four depths, resized to strides 4, 8, 16 and 32.
for_segmentation = dict(
    data_preprocessor=pixel_values,
    backbone=dict(**dense, img_size=512, drop_path_rate=0.2, out_indices=(7, 11, 15, 23)),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=1024,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=dict(type='SyncBN', requires_grad=True),
    ),
)
