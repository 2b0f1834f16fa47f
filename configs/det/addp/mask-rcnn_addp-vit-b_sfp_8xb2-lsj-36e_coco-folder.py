_base_ = [
    '../../_base_/models/mask-rcnn_vit-b_sfp.py',
    '../../_base_/datasets/coco_folder.py',
    '../../_base_/schedules/coco-folder_36e.py',
]

num_classes = len(_base_.classes)

model = dict(
    backbone=dict(
        pretrain_img_size=256,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/addp-vit-base-16.pth'),
    ),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)

train_dataloader = dict(batch_size=2)
