# Cascade R-CNN is Cascade Mask R-CNN without its mask heads, for data with boxes alone.
_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/cascade-mask-rcnn_sfp.py',
    '../../_base_/datasets/coco-folder_lsj-1024.py',
    '../../_base_/schedules/coco-folder_36e.py',
]

# A list takes the place of the head's.
bbox_heads = [
    dict(head, num_classes=len(_base_.classes)) for head in _base_.model.roi_head.bbox_head
]

model = dict(
    **_base_.for_detection,
    roi_head=dict(bbox_head=bbox_heads, mask_roi_extractor=None, mask_head=None),
)

# Boxes alone: no masks are read, and none are evaluated.
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1] = test_pipeline[2] = dict(type='LoadAnnotations', with_bbox=True)
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = test_evaluator = dict(metric='bbox')
