_base_ = './cascade-mask-rcnn_vit-b_sfp.py'

model = dict(
    backbone=dict(arch='large', global_attn_indexes=(5, 11, 17, 23), drop_path_rate=0.4),
    neck=dict(in_channels=1024),
)
