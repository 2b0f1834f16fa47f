# ADDP's fine-tuning: the average of the patch tokens (the class token stays in the encoder), a new
# norm and a linear layer. Table 15's "mixup prob." and "cutmix prob." are timm's alphas.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=1000, to_rgb=True),
    neck=dict(type='mmaddp.PoolNormNeck', in_channels=768, norm_cfg=dict(type='LN', eps=1e-6)),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=2e-5),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
