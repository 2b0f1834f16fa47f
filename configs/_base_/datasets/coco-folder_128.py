# Your own data in COCO format: one folder with train/, val/ and the annotations of both. Folder,
# class names and annotation files come from the environment: COCO_DIR=... CLASSES=cat,dog
# TRAIN_ANN=annotations/train.json VAL_ANN=annotations/val.json. Images are small, for CPUs:
# IMAGE_SIZE sets their side, by default 128 pixels.
data_root = '{{$COCO_DIR:data/penn_fudan_coco}}/'
classes = '{{$CLASSES:person}}'
classes = tuple(name.strip() for name in classes.split(','))
train_ann = '{{$TRAIN_ANN:annotations/instances_train.json}}'
val_ann = '{{$VAL_ANN:annotations/instances_val.json}}'
image_size = 2 * (int('{{$IMAGE_SIZE:128}}'),)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=image_size,
        ratio_range=(0.75, 1.5),
        keep_ratio=True,
    ),
    dict(
        type='RandomCrop',
        crop_type='absolute',
        crop_size=image_size,
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmaddp.CocoDataset',
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file=train_ann,
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmaddp.CocoDataset',
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file=val_ann,
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

# It reads the annotation file of the data set.
val_evaluator = dict(type='mmaddp.CocoMetric', metric=['bbox', 'segm'])
test_evaluator = val_evaluator
