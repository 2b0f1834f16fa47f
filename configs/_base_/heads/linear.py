# A linear layer on the average patch token of the frozen encoder, after a BatchNorm without scale
# and shift as in MAE. The average is this project's choice. Table 16 does not say what it probes,
# and fine-tuning reads the average. MAE probes the class token.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=1000, to_rgb=True),
    neck=dict(
        type='mmaddp.PoolNormNeck',
        in_channels=768,
        norm_cfg=dict(type='BN1d', affine=False, eps=1e-6),
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='CrossEntropyLoss'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
    ),
)
