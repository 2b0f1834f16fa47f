# SUN397, 397 classes: all of its images in shares of 70, 10 and 20 percent, as VTAB divides them.
# The images of a share are not VTAB's. (MMPretrain's have the official partition, of 50 and 50
# images a class.)
_base_ = [
    '../../../_base_/models/darl-vit-l_vtab.py',
    '../../../_base_/datasets/vtab_224.py',
    '../../../_base_/schedules/darl-vtab_20k.py',
]

dataset = dict(type='mmaddp.TorchvisionDataset', name='SUN397', data_root='data/vtab/sun397')
parts = dict(
    train=dict(dataset, share=(0.0, 0.7)),
    val=dict(dataset, share=(0.7, 0.8)),
    test=dict(dataset, share=(0.8, 1.0)),
)

model = dict(
    data_preprocessor=dict(num_classes=397),
    head=dict(num_classes=397),
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
