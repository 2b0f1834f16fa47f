# DDAE's fine-tuning (section 3.2, figure 1): a linear layer on the averaged map.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=10, to_rgb=True),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=256,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
