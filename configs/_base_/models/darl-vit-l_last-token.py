# DARL's fine-tuning model: attention is not masked, the last patch's output behind the pre-trained
# final norm is the image's vector, and a linear layer reads it (section 4). Mixup and cutmix of
# table 9 are alphas. The head starts as MAE's does.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=1000,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='mmaddp.DARLViT', arch='large', img_size=224, patch_size=16),
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
