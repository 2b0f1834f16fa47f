# Drawn rooms of 64 x 64 pixels with exact classes and depths, see mmaddp.DrawnShapes: no files.
# The test set has another seed.
pipeline = [dict(type='mmaddp.LoadDrawnShapes'), dict(type='PackSegInputs')]
train_pipeline = [
    dict(type='mmaddp.LoadDrawnShapes'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='mmaddp.DrawnShapes', count=400, size=64, seed=0, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='mmaddp.DrawnShapes', count=100, size=64, seed=1, pipeline=pipeline),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='DepthMetric', min_depth_eval=0.001, max_depth_eval=10.0)
test_evaluator = val_evaluator
