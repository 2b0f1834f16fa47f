# DiT's encoder by the recipe of ADDP's fine-tuning (its table 15), so that the two can be compared;
# the authors of DDAE fine-tune on smaller data only. Block and timestep are those of CIFAR-10.
_base_ = [
    '../../_base_/backbones/ddae-ddpm_dit-xl.py',
    '../../_base_/heads/avg-pool-norm.py',
    '../../_base_/datasets/imagenet_256_randaug-9-erasing.py',
    '../../_base_/schedules/vit-finetune_100e.py',
]

# The result of tools/probe.py, if named. Its block and time replace those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(**_base_.encoder, out_blocks=('layer-13',), time=121),
    neck=dict(in_channels=1152),
    head=dict(in_channels=1152),
)
