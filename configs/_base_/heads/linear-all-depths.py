# DARL's linear evaluation (appendix B.1, table 13) of all depths in one run. The patches' outputs
# of each block are averaged, normalized by batch statistics as in MAE's probing, and read by a
# linear layer with label smoothing. The last block is read behind the final norm, and the start
# token is not in the average.
model = dict(
    type='mmaddp.GridProbe',
    num_classes=1000,
    batch_norm=True,
    init_std=0.01,
    label_smoothing=0.1,
)
