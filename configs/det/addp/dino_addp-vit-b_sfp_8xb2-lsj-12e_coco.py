# DINO predicts boxes, no masks.
_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/dino.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/dino_12e.py',
]

model = _base_.for_detection

train_dataloader = dict(batch_size=2)
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
