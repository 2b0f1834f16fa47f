# Appendix F, the model that generates: 64 x 64 pixels, patches of 8 x 8, a patch decoder of 8
# blocks that is told the noise level, which is drawn uniformly.
_base_ = [
    '../../_base_/pretrainers/darl-diff_vit-l.py',
    '../../_base_/datasets/imagenet_224_pretrain.py',
    '../../_base_/schedules/darl_800e.py',
]

model = dict(
    backbone=dict(img_size=64, patch_size=8),
    patch_decoder=dict(num_layers=8, condition_on_gamma=True),
    noise=dict(a=1.0, b=1.0),
)

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 64
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
