# ViTDet's recipe. Weaker layer decay: it has about twice as many layers as a ViT-B.
_base_ = [
    '../../_base_/backbones/ddae-ddpm_unet.py',
    '../../_base_/heads/mask-rcnn_sfp.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/vitdet_25e.py',
]

model = _base_.for_detection

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.85))
