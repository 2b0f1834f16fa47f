# EuroSAT, 10 classes: all of its images in shares of 60, 20 and 20 percent, as VTAB divides them.
# The images of a share are not VTAB's.
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(type='mmaddp.TorchvisionDataset', name='EuroSAT', data_root='data/vtab/eurosat')
parts = dict(
    train=dict(dataset, share=(0.0, 0.6)),
    val=dict(dataset, share=(0.6, 0.8)),
    test=dict(dataset, share=(0.8, 1.0)),
)

model = dict(
    data_preprocessor=dict(num_classes=10),
    head=dict(num_classes=10),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
