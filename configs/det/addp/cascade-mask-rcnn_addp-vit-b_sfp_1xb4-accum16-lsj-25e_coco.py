_base_ = [
    '../../_base_/models/cascade-mask-rcnn_vit-b_sfp.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/vitdet_25e_1gpu.py',
]

model = dict(
    backbone=dict(
        pretrain_img_size=256,
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/addp-vit-base-16.pth'),
    )
)
