# A linear layer on the frozen encoder's average patch token, normalized by batch statistics without
# scale or shift. That BatchNorm is MAE's. The average is this project's choice, for table 16 does
# not say what it probes: it is what fine-tuning reads, where MAE probes the class token. The
# encoder keeps the norms that it was pre-trained with: frozen blocks cannot adapt to embeddings
# without theirs.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=1000,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type='mmaddp.ADDPViT',
        arch='base',
        img_size=256,
        embed_norm=True,
        final_norm=True,
        frozen_stages=12,
    ),
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
