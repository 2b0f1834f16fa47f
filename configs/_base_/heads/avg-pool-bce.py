# ADDP's fine-tuning of a ResNet-50: one binary cross-entropy for each class. Table 17's "mixup
# prob." and "cutmix prob." are timm's alphas.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=1000, to_rgb=True),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original', use_sigmoid=True),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.1), dict(type='CutMix', alpha=1.0)]),
)
