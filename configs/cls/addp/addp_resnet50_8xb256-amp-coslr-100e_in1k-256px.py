# No ResNet-50 of ADDP is published: name your own in model.backbone.init_cfg. Without one this
# trains from scratch.
_base_ = [
    '../../_base_/backbones/resnet50.py',
    '../../_base_/heads/avg-pool-bce.py',
    '../../_base_/datasets/imagenet_256_randaug-6.py',
    '../../_base_/schedules/resnet50-finetune_100e.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=_base_.encoder,
)
