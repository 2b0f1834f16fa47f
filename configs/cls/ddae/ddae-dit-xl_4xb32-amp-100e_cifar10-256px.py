# Block and timestep are those of the authors' script for linear probing. The 314M parameters of
# table 3 are those up to the block before, layer-12.
_base_ = [
    '../../_base_/models/ddae-dit-xl_avg-pool.py',
    '../../_base_/datasets/cifar10-folder_32_crop_256.py',
    '../../_base_/schedules/ddae-finetune_100e.py',
]

# What tools/probe.py found, if named: its block and time in place of those of the config.
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:checkpoints/DiT-XL-2-256x256.pt}}',
        ),
    ),
)

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)
test_dataloader = val_dataloader
