# Table 7: raster order at 256 x 256, whose 16 x 16 patches make whole blocks of 2, 4 and 8.
_base_ = [
    '../../_base_/models/darl-mse_vit-l.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/darl_100e.py',
]

model = dict(backbone=dict(img_size=256))
