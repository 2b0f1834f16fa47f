# Three box heads of rising IoU threshold and class-agnostic boxes, as ViTDet's Cascade. detectron2
# sums the stages' losses and lets a third of each head's gradient into the features. A third of
# each loss gives the features the same, and the heads steps of the same size, since AdamW's do not
# depend on the loss's scale. So weighed, three mask heads pull as hard as detectron2's one.
_base_ = './mask-rcnn_vit-b_sfp.py'

norm_cfg = dict(type='mmaddp.LN2d', eps=1e-6)
target_stds = [
    [1 / 10, 1 / 10, 1 / 5, 1 / 5],
    [1 / 20, 1 / 20, 1 / 10, 1 / 10],
    [1 / 30, 1 / 30, 1 / 15, 1 / 15],
]
iou_thresholds = [0.5, 0.6, 0.7]

model = dict(
    type='CascadeRCNN',
    roi_head=dict(
        type='CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1 / 3, 1 / 3, 1 / 3],
        bbox_head=[
            dict(
                type='Shared4Conv1FCBBoxHead',
                in_channels=256,
                conv_out_channels=256,
                fc_out_channels=1024,
                roi_feat_size=7,
                num_classes=80,
                norm_cfg=norm_cfg,
                reg_class_agnostic=True,
                bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=stds),
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='L1Loss', loss_weight=1.0),
            )
            for stds in target_stds
        ],
    ),
    train_cfg=dict(
        rcnn=[
            dict(
                assigner=dict(
                    type='MaxIoUAssigner',
                    pos_iou_thr=threshold,
                    neg_iou_thr=threshold,
                    min_pos_iou=threshold,
                    match_low_quality=False,
                    ignore_iof_thr=-1,
                ),
                sampler=dict(
                    type='RandomSampler',
                    num=512,
                    pos_fraction=0.25,
                    neg_pos_ub=-1,
                    add_gt_as_proposals=True,
                ),
                mask_size=28,
                pos_weight=-1,
                debug=False,
            )
            for threshold in iou_thresholds
        ]
    ),
)
