_base_ = [
    '../../_base_/models/mask-rcnn_darl-vit-l_sfp.py',
    '../../_base_/datasets/coco_lsj-1024-autoaug.py',
    '../../_base_/schedules/darl-vitdet_40e.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-l_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        )
    )
)
