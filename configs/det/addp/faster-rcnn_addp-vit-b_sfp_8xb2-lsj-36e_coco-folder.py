# Faster R-CNN is Mask R-CNN without its mask head, for data with boxes alone.
_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/mask-rcnn_sfp.py',
    '../../_base_/datasets/coco-folder_lsj-1024.py',
    '../../_base_/schedules/coco-folder_36e.py',
]

model = dict(
    **_base_.for_detection,
    type='FasterRCNN',
    roi_head=dict(
        bbox_head=dict(num_classes=len(_base_.classes)), mask_roi_extractor=None, mask_head=None
    ),
)

# Boxes alone: no masks are read, and none are evaluated.
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1] = test_pipeline[2] = dict(type='LoadAnnotations', with_bbox=True)
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = test_evaluator = dict(metric='bbox')
