# The optimizer is DARL's, its learning rate scaled from 64 to 16 images by the square root.
_base_ = [
    '../../_base_/models/mask-rcnn_darl-vit-l_sfp.py',
    '../../_base_/datasets/coco_folder.py',
    '../../_base_/schedules/coco-folder_36e.py',
]

num_classes = len(_base_.classes)

model = dict(
    backbone=dict(
        arch='base',
        global_attn_indexes=(2, 5, 8, 11),
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-b_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        ),
    ),
    neck=dict(in_channels=768),
    roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_head=dict(num_classes=num_classes)),
)

train_dataloader = dict(batch_size=2)

optim_wrapper = dict(optimizer=dict(lr=3.75e-4), paramwise_cfg=dict(layer_decay_rate=0.85))
