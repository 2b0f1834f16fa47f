# No ResNet-50 of ADDP's is published: name your own in model.backbone.init_cfg; without one this
# trains from scratch.
_base_ = [
    '../../_base_/models/resnet50_bce.py',
    '../../_base_/datasets/imagenet_256_randaug-6.py',
    '../../_base_/schedules/resnet50-finetune_100e.py',
]
