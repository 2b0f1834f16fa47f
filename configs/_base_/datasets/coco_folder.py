# One's own data in COCO format: annotations/instances_{train,val}.json, train/ and val/ in one
# folder. Folder and class names come from the environment: COCO_DIR=… CLASSES=cat,dog.
_base_ = './coco_lsj-1024.py'

data_root = '{{$COCO_DIR:data/penn_fudan_coco}}/'
classes = '{{$CLASSES:person}}'
classes = tuple(classes.split(','))

train_dataloader = dict(
    sampler=dict(type='DefaultSampler'),
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=data_root + 'annotations/instances_val.json')
test_evaluator = val_evaluator
