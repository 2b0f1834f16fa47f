# At 192 x 192 pixels, a few minutes on a CPU.
_base_ = [
    '../../_base_/heads/mask-rcnn_sfp_toy.py',
    '../../_base_/datasets/coco-folder_128.py',
    '../../_base_/schedules/det-toy_500i.py',
]

image_size = (192, 192)
train_pipeline = _base_.train_pipeline
train_pipeline[3].scale = train_pipeline[4].crop_size = image_size
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = image_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

num_classes = len(_base_.classes)

# The file of the network's weights, random ones without it, and a result of tools/probe.py.
weights = '{{$WEIGHTS:none}}'
best_cell = '{{$BEST_CELL:none}}'

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        type='mmaddp.Encoder',
        model='{{$ENCODER:timm:vit_tiny_patch16_224}}',
        init_cfg=dict(type='Pretrained', checkpoint=weights) if weights != 'none' else None,
        norm='none',
    ),
    neck=dict(type='auto'),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)
