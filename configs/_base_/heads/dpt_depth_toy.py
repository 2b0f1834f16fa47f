# DPT of 32 channels for drawn rooms.
model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True, size=(64, 64), pad_val=0, seg_pad_val=255
    ),
    decode_head=dict(
        type='mmaddp.DPTDepthHead',
        in_index=[0, 1, 2, 3],
        input_transform='multiple_select',
        channels=32,
        post_process_channels=[24, 48, 96, 192],
        norm_cfg=dict(type='BN', requires_grad=True),
        dropout_ratio=0.0,
        min_depth=0.001,
        max_depth=10.0,
        num_bins=256,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
