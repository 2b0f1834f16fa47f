# A linear layer with DINOv2's bins and losses of depth.
model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True, size=(64, 64), pad_val=0, seg_pad_val=255
    ),
    decode_head=dict(
        type='mmaddp.LinearDepthHead',
        min_depth=0.001,
        max_depth=10.0,
        num_bins=256,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
