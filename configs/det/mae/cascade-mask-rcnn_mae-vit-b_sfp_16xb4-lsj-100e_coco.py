_base_ = [
    '../../_base_/backbones/mae_vit-b.py',
    '../../_base_/heads/cascade-mask-rcnn_sfp.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/vitdet_100e.py',
]

model = _base_.for_detection
