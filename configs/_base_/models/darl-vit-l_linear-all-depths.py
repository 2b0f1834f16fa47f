# DARL's linear evaluation (appendix B.1, table 13), of all depths in one run: attention is causal,
# the patches' outputs of each block are averaged and normalized by batch statistics as MAE's
# probing does, and a linear layer reads them, with label smoothing. The last map is the one behind
# the final norm. A map is taken as a whole, so the start token is not in the average.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=1000,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type='mmaddp.DARLViT',
        arch='large',
        img_size=224,
        patch_size=16,
        causal=True,
        frozen_stages=24,
        out_indices=list(range(24)),
    ),
    head=dict(
        type='mmaddp.AllDepthsHead',
        num_depths=24,
        neck=dict(
            type='mmaddp.PoolNormNeck',
            in_channels=1024,
            norm_cfg=dict(type='BN1d', affine=False, eps=1e-6),
        ),
        head=dict(
            type='LinearClsHead',
            num_classes=1000,
            in_channels=1024,
            loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
            init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
        ),
    ),
)
