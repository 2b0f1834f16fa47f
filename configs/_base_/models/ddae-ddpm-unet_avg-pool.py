# DDAE's fine-tuning model (section 3.2): clean images into the UNet of 35.7M parameters, truncated
# behind the block that probes best and told the noise level that does, t = 11 of 1,000; its map is
# averaged, and a linear layer reads it.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=10, mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True
    ),
    backbone=dict(type='mmaddp.DDAEUNet', out_blocks=('out_6',), time=0.011),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=256,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
