# Patch Camelyon, 2 classes: the official splits. torchvision needs h5py for it.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(type='mmaddp.TorchvisionDataset', name='PCAM', data_root='data/vtab/camelyon')
parts = dict(
    train=dict(dataset, options=dict(split='train')),
    val=dict(dataset, options=dict(split='val')),
    test=dict(dataset, options=dict(split='test')),
)

model = dict(
    data_preprocessor=dict(num_classes=2),
    head=dict(num_classes=2),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
