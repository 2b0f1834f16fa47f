# CIFAR-100, 100 classes: a tenth of the training images validates. torchvision reads it, since
# MMPretrain's arrays are RGB where files are BGR.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(
    type='mmaddp.TorchvisionDataset',
    name='CIFAR100',
    data_root='data/vtab/cifar-100',
)
parts = dict(
    train=dict(dataset, options=dict(train=True), share=(0.0, 0.9)),
    val=dict(dataset, options=dict(train=True), share=(0.9, 1.0)),
    test=dict(dataset, options=dict(train=False)),
)

model = dict(
    data_preprocessor=dict(num_classes=100),
    head=dict(num_classes=100),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
