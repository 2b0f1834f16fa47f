# Segmentation of CamVid by the nearest patches of the training set, for all layers: no training.
# The schedule is not used.
_base_ = ['../../_base_/backbones/encoder.py', '../../_base_/probes/segmentation_camvid.py']

model = dict(
    encoder=_base_.backbone,
    head=dict(_delete_=True, type='mmaddp.PatchRetrieval', num_classes=11),
)

# One pass over the training set.
train_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=False))
