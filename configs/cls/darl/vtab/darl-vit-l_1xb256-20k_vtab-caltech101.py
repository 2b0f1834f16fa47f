# Caltech101, 102 classes, by MMPretrain's lists; a tenth of its training images validates.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

data_root = 'data/vtab/caltech-101'
dataset = dict(type='Caltech101', data_root=data_root, split='train')
parts = dict(
    train=dict(dataset, share=(0.0, 0.9)),
    val=dict(dataset, share=(0.9, 1.0)),
    test=dict(type='Caltech101', data_root=data_root, split='test'),
)

model = dict(
    data_preprocessor=dict(num_classes=102),
    head=dict(num_classes=102),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
