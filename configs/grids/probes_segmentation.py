# Linear segmentation of the frozen network on other data sets of MMSegmentation, by DINOv3's
# protocol of ADE20K. ENCODER and WEIGHTS name the network. Data sets, sizes and crops are
# MMSegmentation's. Test windows are as large as the crops and overlap by a third.
config = '../seg/encoder/encoder_dinov3_probe_8xb2-40k_ade20k-512x512.py'

splits = ('train', 'val', 'test')
# Type, root, number of classes, and what differs between training and validation images.
sources = {
    'cityscapes': (
        'CityscapesDataset',
        'data/cityscapes',
        19,
        {
            part: dict(
                data_prefix=dict(img_path=f'leftImg8bit/{part}', seg_map_path=f'gtFine/{part}')
            )
            for part in ('train', 'val')
        },
    ),
    'voc2012': (
        'PascalVOCDataset',
        'data/VOCdevkit/VOC2012',
        21,
        {
            part: dict(
                data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
                ann_file=f'ImageSets/Segmentation/{part}.txt',
            )
            for part in ('train', 'val')
        },
    ),
    'coco-stuff164k': (
        'COCOStuffDataset',
        'data/coco_stuff164k',
        171,
        {
            part: dict(
                data_prefix=dict(
                    img_path=f'images/{part}2017', seg_map_path=f'annotations/{part}2017'
                )
            )
            for part in ('train', 'val')
        },
    ),
}

variants = {}
for name, (kind, root, classes, parts) in sources.items():
    variants[name] = {'model.head.num_classes': classes}
    for split in splits:
        dataset = f'{split}_dataloader.dataset'
        settings = dict(type=kind, data_root=root, **parts['train' if split == 'train' else 'val'])
        variants[name].update({f'{dataset}.{key}': value for key, value in settings.items()})
        # Only ADE20K uses label 0 for pixels without a class.
        loading = 1 if split == 'train' else 2
        variants[name][f'{dataset}.pipeline.{loading}.reduce_zero_label'] = False

variants['cityscapes'].update(
    {
        'model.data_preprocessor.size': (512, 1024),
        'model.test_cfg.crop_size': (512, 1024),
        'model.test_cfg.stride': (341, 683),
        'train_dataloader.dataset.pipeline.2.scale': (2048, 1024),
        'train_dataloader.dataset.pipeline.3.crop_size': (512, 1024),
        'val_dataloader.dataset.pipeline.1.scale': (2048, 1024),
        'test_dataloader.dataset.pipeline.1.scale': (2048, 1024),
    }
)
# The additional labels of SBD: 10,582 images.
augmented = {
    part: dict(
        type='PascalVOCDataset',
        data_root='data/VOCdevkit/VOC2012',
        data_prefix=dict(img_path='JPEGImages', seg_map_path=f'SegmentationClass{suffix}'),
        ann_file=f'ImageSets/Segmentation/{part}.txt',
    )
    for part, suffix in (('train', ''), ('aug', 'Aug'))
}
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(512, 512), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
variants['voc2012-aug'] = {
    **{k: v for k, v in variants['voc2012'].items() if not k.startswith('train_dataloader')},
    'train_dataloader.dataset': dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(one, pipeline=pipeline) for one in augmented.values()],
    ),
}
