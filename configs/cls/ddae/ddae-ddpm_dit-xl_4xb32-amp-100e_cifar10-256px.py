# The 314M parameters of table 3 are those up to the block before, layer-12.
_base_ = [
    '../../_base_/backbones/ddae-ddpm_dit-xl.py',
    '../../_base_/heads/avg-pool.py',
    '../../_base_/datasets/cifar10-folder_32_crop_256.py',
    '../../_base_/schedules/ddae-finetune_100e.py',
]

# The result of tools/probe.py, if named. Its block and time replace those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(**_base_.encoder, out_blocks=('layer-13',), time=121),
    head=dict(in_channels=1152),
)

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)
test_dataloader = val_dataloader
