_base_ = [
    '../../_base_/backbones/mae_vit-l.py',
    '../../_base_/heads/mask-rcnn_sfp.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/vitdet_100e.py',
]

model = _base_.for_detection

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
