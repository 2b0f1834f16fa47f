# COCO 2017 with the augmentation of DARL's table 11: ViTDet's jitter with a scale of 0.1 to 2.5,
# and the "panoptic deeplab policy" of TensorFlow's model garden, five pairs of color operations.
# One pair is sampled for each image, before the jitter. Operations and probabilities follow the
# policy, with MMDetection's transforms. Magnitudes come from the policy's levels (0.18 level + 0.1,
# or 25.6 level for Solarize); MMDetection rounds them to one decimal. An Equalize of
# probability 0 is omitted.
data_root = 'data/coco/'
image_size = (1024, 1024)

panoptic_deeplab_policy = [
    [
        dict(type='Sharpness', prob=0.4, min_mag=0.352, max_mag=0.352),
        dict(type='Brightness', prob=0.2, min_mag=0.46, max_mag=0.46),
    ],
    [dict(type='Contrast', prob=0.2, min_mag=0.46, max_mag=0.46)],
    [
        dict(type='Sharpness', prob=0.2, min_mag=0.424, max_mag=0.424),
        dict(type='Color', prob=0.2, min_mag=0.424, max_mag=0.424),
    ],
    [
        dict(type='Solarize', prob=0.2, min_mag=35.0, max_mag=35.0),
        dict(type='Equalize', prob=0.6),
    ],
    [
        dict(type='Sharpness', prob=0.2, min_mag=0.136, max_mag=0.136),
        dict(type='Equalize', prob=0.2),
    ],
]

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='AutoAugment', policies=panoptic_deeplab_policy),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        resize_type='mmaddp.ResizeForCrop',
        scale=image_size,
        ratio_range=(0.1, 2.5),
        keep_ratio=True,
        backend='pillow',
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
    dict(type='Resize', scale=image_size, keep_ratio=True, backend='pillow'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmaddp.CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmaddp.CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

# It reads the annotation file of the data set.
val_evaluator = dict(type='mmaddp.CocoMetric', metric=['bbox', 'segm'])
test_evaluator = val_evaluator
