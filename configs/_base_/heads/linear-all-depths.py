# DARL's linear evaluation (appendix B.1, table 13), of all depths in one run. The patches' outputs
# of each block are averaged, normalized by batch statistics as in MAE's probing, and read by a
# linear layer with label smoothing. The last map is the one behind the final norm. The start token
# is not in the average.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=1000, to_rgb=True),
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
