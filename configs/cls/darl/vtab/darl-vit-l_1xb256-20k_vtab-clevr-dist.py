# CLEVR, how near the nearest object is (6 classes): a prepared folder with train/, val/ and test/,
# in each a folder for each class. README.md says what belongs there.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(type='CustomDataset', data_root='data/vtab/clevr-dist')
parts = dict(
    train=dict(dataset, data_prefix='train'),
    val=dict(dataset, data_prefix='val'),
    test=dict(dataset, data_prefix='test'),
)

model = dict(
    data_preprocessor=dict(num_classes=6),
    head=dict(num_classes=6),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
