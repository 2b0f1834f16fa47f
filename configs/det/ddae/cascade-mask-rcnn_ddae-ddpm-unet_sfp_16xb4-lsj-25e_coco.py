# ViTDet's recipe. The layers, about twice as many as a ViT-B's, decay less.
_base_ = [
    '../../_base_/backbones/ddae-ddpm_unet.py',
    '../../_base_/heads/cascade-mask-rcnn_sfp.py',
    '../../_base_/datasets/coco_lsj-1024.py',
    '../../_base_/schedules/vitdet_25e.py',
]

model = _base_.for_detection

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.85))
