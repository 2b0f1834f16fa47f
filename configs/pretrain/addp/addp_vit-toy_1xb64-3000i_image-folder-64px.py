# Your own images on a CPU: IMAGE_DIR=…. It sees as many images as toy DARL and DDAE do.
_base_ = [
    '../../_base_/pretrainers/addp_vit-toy.py',
    '../../_base_/datasets/image-folder_64_pretrain.py',
    '../../_base_/schedules/darl-toy_3000i.py',
]

custom_hooks = [
    dict(type='mmaddp.LossByMaskRatioHook'),
    dict(type='mmaddp.VisualizationHook', interval=500),
]
