# DARL's linear evaluation (appendix B.1, table 13) of all depths in one run. The patch outputs of
# each block are averaged, normalized by batch statistics as in MAE's probing, and classified by a
# linear layer with label smoothing. The last block is read after the final norm. The average
# excludes the start token.
model = dict(
    type='mmaddp.GridProbe',
    head=dict(
        type='mmaddp.LinearClassifier',
        num_classes=1000,
        batch_norm=True,
        init_std=0.01,
        label_smoothing=0.1,
    ),
)
