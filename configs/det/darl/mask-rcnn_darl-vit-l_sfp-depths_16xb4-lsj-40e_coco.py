# A pyramid over four depths, the finest level from the first: the maps behind the global blocks,
# where the last alone may not be the best (section 4.3, appendix B.1).
_base_ = './mask-rcnn_darl-vit-l_sfp_16xb4-lsj-40e_coco.py'

model = dict(backbone=dict(out_indices=(5, 11, 17, 23)), neck=dict(in_indices=(0, 1, 2, 3)))
