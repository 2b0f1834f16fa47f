# Street View House Numbers, 10 classes: a tenth of the training images validates; the extra images
# are not used.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(type='mmaddp.TorchvisionDataset', name='SVHN', data_root='data/vtab/svhn')
parts = dict(
    train=dict(dataset, options=dict(split='train'), share=(0.0, 0.9)),
    val=dict(dataset, options=dict(split='train'), share=(0.9, 1.0)),
    test=dict(dataset, options=dict(split='test')),
)

model = dict(
    data_preprocessor=dict(num_classes=10),
    head=dict(num_classes=10),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
