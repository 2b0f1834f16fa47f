# Common settings of VTAB's tasks (DARL, table 12): 224 x 224, training on 'train' and validation on
# 'val'. The final run of a sweep trains on both and is tested. Each task's config defines the
# splits. Augmentation is "spatial": random crops and flips, MMPretrain's 0.08 to 1 of the area, for
# all tasks. Testing resizes the whole image to the square, as in VTAB.
load = dict(type='mmaddp.LoadImage', imdecode_backend='pillow')
crop = dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bicubic')
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
pack = dict(type='PackInputs')

train_pipeline = [load, crop, flip, pack]
test_pipeline = [
    load,
    dict(type='Resize', scale=(224, 224), backend='pillow', interpolation='bicubic'),
    pack,
]

train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='mmaddp.DatasetParts', use=('train',), pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='mmaddp.DatasetParts', use=('val',), pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='mmaddp.DatasetParts', use=('test',), pipeline=test_pipeline),
)

val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
