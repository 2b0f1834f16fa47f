# UperNet of 64 channels with DINOv2's bins and losses of depth.
model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True, size=(64, 64), pad_val=0, seg_pad_val=255
    ),
    decode_head=dict(
        type='mmaddp.UPerDepthHead',
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=64,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        min_depth=0.001,
        max_depth=10.0,
        num_bins=256,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
