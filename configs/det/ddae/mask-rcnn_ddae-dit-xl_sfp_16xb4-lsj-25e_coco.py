# ViTDet's recipe with the layer decay of its ViT-L.
_base_ = [
    '../../_base_/models/mask-rcnn_ddae-dit-xl_sfp.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/vitdet_25e.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:checkpoints/DiT-XL-2-256x256.pt}}',
        )
    )
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
