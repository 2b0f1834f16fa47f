# DPT of 32 channels for images of 224 x 224, tested on whole images.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True, size=(224, 224), pad_val=0, seg_pad_val=255
    ),
    decode_head=dict(
        type='mmaddp.DPTHead',
        in_index=[0, 1, 2, 3],
        input_transform='multiple_select',
        channels=32,
        post_process_channels=[24, 48, 96, 192],
        norm_cfg=dict(type='BN', requires_grad=True),
        num_classes=150,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
