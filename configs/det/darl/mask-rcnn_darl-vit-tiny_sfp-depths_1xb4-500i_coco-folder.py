# A pyramid over four depths, the finest level from the first.
_base_ = './mask-rcnn_darl-vit-tiny_sfp_1xb4-500i_coco-folder.py'

model = dict(backbone=dict(out_indices=(0, 1, 2, 3)), neck=dict(in_indices=(0, 1, 2, 3)))
