# Oxford Flowers, 102 classes: the official splits.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(type='Flowers102', data_root='data/vtab/flowers-102')
parts = dict(
    train=dict(dataset, split='train'),
    val=dict(dataset, split='val'),
    test=dict(dataset, split='test'),
)

model = dict(
    data_preprocessor=dict(num_classes=102),
    head=dict(num_classes=102),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
