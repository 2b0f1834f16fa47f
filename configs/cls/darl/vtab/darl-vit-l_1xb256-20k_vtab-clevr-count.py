# CLEVR, how many objects there are, 3 to 10 (8 classes): a tenth of the training images validates;
# the official validation images, which have labels, are the test.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(
    type='mmaddp.TorchvisionDataset',
    name='CLEVRClassification',
    data_root='data/vtab/clevr-count',
    labels=tuple(range(3, 11)),
)
parts = dict(
    train=dict(dataset, options=dict(split='train'), share=(0.0, 0.9)),
    val=dict(dataset, options=dict(split='train'), share=(0.9, 1.0)),
    test=dict(dataset, options=dict(split='val')),
)

model = dict(
    data_preprocessor=dict(num_classes=8),
    head=dict(num_classes=8),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
