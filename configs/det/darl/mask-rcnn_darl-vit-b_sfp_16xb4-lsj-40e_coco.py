_base_ = [
    '../../_base_/backbones/darl_vit-b.py',
    '../../_base_/heads/mask-rcnn_sfp.py',
    '../../_base_/datasets/coco_lsj-1024-autoaug.py',
    '../../_base_/schedules/darl-vitdet_40e.py',
]

model = _base_.for_detection
