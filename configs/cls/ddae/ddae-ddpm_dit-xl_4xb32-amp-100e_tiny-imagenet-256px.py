# The timestep is that of the authors' script for linear probing here.
_base_ = [
    '../../_base_/backbones/ddae-ddpm_dit-xl.py',
    '../../_base_/heads/avg-pool.py',
    '../../_base_/datasets/tiny-imagenet_64_256.py',
    '../../_base_/schedules/ddae-finetune_100e.py',
]

# The result of tools/probe.py, if named. Its block and time replace those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=200),
    backbone=dict(
        _base_.encoder,
        out_blocks=('layer-13',),
        time=81,
    ),
    head=dict(in_channels=1152, num_classes=200),
)

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)
test_dataloader = val_dataloader
