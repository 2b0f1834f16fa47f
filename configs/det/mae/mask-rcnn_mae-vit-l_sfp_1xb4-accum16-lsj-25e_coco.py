_base_ = [
    '../../_base_/models/mask-rcnn_vit-l_sfp.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/vitdet_25e_1gpu.py',
]

model = dict(
    backbone=dict(
        pretrain_img_size=224,
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/mae_pretrain_vit_large.pth'),
    )
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
