# Describable Textures, 47 classes: the official splits (the first of ten).
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(type='DTD', data_root='data/vtab/dtd')
parts = dict(
    train=dict(dataset, split='train'),
    val=dict(dataset, split='val'),
    test=dict(dataset, split='test'),
)

model = dict(
    data_preprocessor=dict(num_classes=47),
    head=dict(num_classes=47),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
