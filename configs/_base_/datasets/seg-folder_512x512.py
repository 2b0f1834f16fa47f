# One's own images with segmentation maps, augmented as ADE20K is: images/{training,validation}/
# and annotations/{training,validation}/, for each image a PNG of class indices, where 255 is
# ignored. The environment gives folder, class names and the ending of images: SEG_DIR=…
# CLASSES=road,car IMG_SUFFIX=.jpg.
_base_ = './ade20k_512x512.py'

data_root = '{{$SEG_DIR:data/segmentation}}'
classes = '{{$CLASSES:background,object}}'
classes = tuple(classes.split(','))
img_suffix = '{{$IMG_SUFFIX:.jpg}}'

train_pipeline = _base_.train_pipeline
train_pipeline[1].reduce_zero_label = False
test_pipeline = _base_.test_pipeline
test_pipeline[2].reduce_zero_label = False
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[2][0].reduce_zero_label = False

train_dataloader = dict(
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        img_suffix=img_suffix,
        metainfo=dict(classes=classes),
        reduce_zero_label=False,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        img_suffix=img_suffix,
        metainfo=dict(classes=classes),
        reduce_zero_label=False,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
