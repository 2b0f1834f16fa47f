# DARL's optimizer, with its learning rate scaled from 64 to 16 images by the square root.
_base_ = [
    '../../_base_/backbones/darl_vit-b.py',
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

optim_wrapper = dict(optimizer=dict(lr=3.75e-4), paramwise_cfg=dict(layer_decay_rate=0.85))
