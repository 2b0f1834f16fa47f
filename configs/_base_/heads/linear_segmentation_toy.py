# BatchNorm and a 1 x 1 convolution on the joined maps, tested on whole images.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True, size=(224, 224), pad_val=0, seg_pad_val=255
    ),
    decode_head=dict(
        type='mmaddp.LinearHead',
        num_classes=150,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
