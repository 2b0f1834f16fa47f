# DARL's table 12 on one of VTAB's tasks: VTAB=pets, say. Fine-tuning with causal attention, label
# smoothing 0.1, and no mixup or cutmix unless the sweep (../../grids/darl_table-12.py) adds them.
# The read-out is fine-tuning's, the last patch's output, which has seen the whole image under the
# mask. README.md says where the images come from.
_base_ = [
    '../../_base_/backbones/darl_vit-l.py',
    '../../_base_/heads/last-token.py',
    '../../_base_/datasets/vtab_224.py',
    '../../_base_/schedules/darl-vtab_20k.py',
]

task = '{{$VTAB:pets}}'
work_dir = f'work_dirs/darl-diff_vit-l_1xb256-20k_vtab-224px/{task}'

# Splits: official, or shares of one split where it has no validation images. VTAB draws a tenth (a
# fifth of Pets) of the training images to validate; these are the same share, not the same images.
official = [dict(split='train'), dict(split='val'), dict(split='test')]
# A prepared folder, in each part of it a folder for each class.
prepared = [
    dict(data_prefix='train'),
    dict(data_prefix='val', classes_from='train'),
    dict(data_prefix='test', classes_from='train'),
]
tenth = [dict(share=(0.0, 0.9)), dict(share=(0.9, 1.0)), {}]
train, test = dict(split='train'), dict(split='test')
torchvision, folder = dict(type='mmaddp.TorchvisionDataset'), dict(type='mmaddp.ImageFolder')

# Classes, how images are read, and what is special to training, validation and test images.
tasks = {
    'caltech101': (
        102,
        dict(type='Caltech101', data_root='data/vtab/caltech-101'),
        [dict(train, **tenth[0]), dict(train, **tenth[1]), test],
    ),
    # By torchvision, since MMPretrain's arrays are RGB where files are BGR.
    'cifar100': (
        100,
        dict(torchvision, name='CIFAR100', data_root='data/vtab/cifar-100'),
        [
            dict(options=dict(train=True), **tenth[0]),
            dict(options=dict(train=True), **tenth[1]),
            dict(options=dict(train=False)),
        ],
    ),
    # The first of its ten official splits.
    'dtd': (47, dict(type='DTD'), official),
    'flowers102': (102, dict(type='Flowers102', data_root='data/vtab/flowers-102'), official),
    'pets': (
        37,
        dict(type='OxfordIIITPet', data_root='data/vtab/oxford-iiit-pet'),
        [
            dict(split='trainval', share=(0.0, 0.8)),
            dict(split='trainval', share=(0.8, 1.0)),
            test,
        ],
    ),
    # 70, 10 and 20 percent, as VTAB. (MMPretrain has the official partition, 50 and 50 a class.)
    'sun397': (
        397,
        dict(torchvision, name='SUN397'),
        [dict(share=(0.0, 0.7)), dict(share=(0.7, 0.8)), dict(share=(0.8, 1.0))],
    ),
    # The extra images are not used.
    'svhn': (
        10,
        dict(torchvision, name='SVHN'),
        [
            dict(options=train, **tenth[0]),
            dict(options=train, **tenth[1]),
            dict(options=test),
        ],
    ),
    # torchvision needs h5py for it.
    'camelyon': (2, dict(torchvision, name='PCAM'), [dict(options=part) for part in official]),
    # 60, 20 and 20 percent, as VTAB.
    'eurosat': (
        10,
        dict(torchvision, name='EuroSAT'),
        [dict(share=(0.0, 0.6)), dict(share=(0.6, 0.8)), dict(share=(0.8, 1.0))],
    ),
    'resisc45': (45, folder, prepared),
    'retinopathy': (5, folder, prepared),
    # 3 to 10 objects. The official validation images, which have labels, are the test.
    'clevr-count': (
        8,
        dict(torchvision, name='CLEVRClassification', labels=tuple(range(3, 11))),
        [
            dict(options=train, **tenth[0]),
            dict(options=train, **tenth[1]),
            dict(options=dict(split='val')),
        ],
    ),
    'clevr-dist': (6, folder, prepared),
    'dmlab': (6, folder, prepared),
    'kitti-dist': (4, folder, prepared),
    'dsprites-loc': (16, folder, prepared),
    'dsprites-ori': (16, folder, prepared),
    'snorb-azim': (18, folder, prepared),
    'snorb-elev': (9, folder, prepared),
}
num_classes, dataset, splits = tasks[task]
dataset = dict(dict(data_root=f'data/vtab/{task}'), **dataset)
parts = {name: dict(dataset, **split) for name, split in zip(('train', 'val', 'test'), splits)}
del official, prepared, tenth, train, test, torchvision, folder, tasks, dataset, splits

model = dict(
    data_preprocessor=dict(**_base_.pixel_values, num_classes=num_classes),
    backbone=dict(
        **_base_.encoder,
        img_size=224,
        patch_size=16,
        causal=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-l_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        ),
    ),
    head=dict(num_classes=num_classes),
    train_cfg=None,
)
train_dataloader = dict(dataset=dict(parts=parts))
val_dataloader = dict(dataset=dict(parts=parts))
test_dataloader = dict(dataset=dict(parts=parts))
