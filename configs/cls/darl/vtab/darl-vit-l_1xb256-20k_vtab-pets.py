# Oxford-IIIT Pets, 37 classes: a fifth of the official training images validates.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(type='OxfordIIITPet', data_root='data/vtab/oxford-iiit-pet')
parts = dict(
    train=dict(dataset, split='trainval', share=(0.0, 0.8)),
    val=dict(dataset, split='trainval', share=(0.8, 1.0)),
    test=dict(dataset, split='test'),
)

model = dict(
    data_preprocessor=dict(num_classes=37),
    head=dict(num_classes=37),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
