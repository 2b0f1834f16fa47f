_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/mask-rcnn_sfp.py',
    '../../_base_/datasets/coco-folder_lsj-1024.py',
    '../../_base_/schedules/coco-folder_36e.py',
]

num_classes = len(_base_.classes)

model = dict(
    **_base_.for_detection,
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)

train_dataloader = dict(batch_size=2)
