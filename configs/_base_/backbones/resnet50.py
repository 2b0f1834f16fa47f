# MMPretrain's ResNet-50. Each GPU normalizes by its own batch, as in the authors' fine-tuning.
encoder = dict(
    type='ResNet',
    depth=50,
    num_stages=4,
    out_indices=(3,),
    style='pytorch',
    norm_cfg=dict(type='BN', requires_grad=True),
)
pixel_values = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
