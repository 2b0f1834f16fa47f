# DPT with DINOv2's bins and losses of depth, on four maps of stride 16.
model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True, size=(416, 544), pad_val=0, seg_pad_val=255
    ),
    decode_head=dict(
        type='mmaddp.DPTDepthHead',
        in_index=[0, 1, 2, 3],
        input_transform='multiple_select',
        embed_dims=768,
        channels=256,
        post_process_channels=[96, 192, 384, 768],
        norm_cfg=None,
        dropout_ratio=0.0,
        min_depth=0.001,
        max_depth=10.0,
        num_bins=256,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
