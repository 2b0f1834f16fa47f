# Table 16 prints 224 x 224. This is 256 x 256, as the rest of the paper: the size that the encoder
# and its learned positions were pre-trained at.
_base_ = [
    '../../_base_/models/vit-b_linear-probe.py',
    '../../_base_/datasets/imagenet_256.py',
    '../../_base_/schedules/linear-probe_90e.py',
]

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='checkpoints/addp-vit-base-16.pth'))
)

train_dataloader = dict(batch_size=1024)
