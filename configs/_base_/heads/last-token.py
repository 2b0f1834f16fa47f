# DARL's fine-tuning: a linear layer reads the last patch's output after the pre-trained final norm
# (section 4). Table 9's mixup and cutmix are alphas. The head is initialized as in MAE.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=1000, to_rgb=True),
    neck=dict(type='mmaddp.LastTokenNeck'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=1024,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=2e-5),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
