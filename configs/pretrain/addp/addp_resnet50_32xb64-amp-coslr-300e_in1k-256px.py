_base_ = [
    '../../_base_/pretrainers/addp_vit-b.py',
    '../../_base_/datasets/imagenet_256_pretrain.py',
    '../../_base_/schedules/addp_1600e.py',
]

# BatchNorm is synchronized, as by the authors' main_pretrain.py (line 217).
# The last map has stride 32: 8 x 8 positions of 2048 channels. The neck makes 16 x 16 of 512.
model = dict(
    encoder=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(3,),
        style='pytorch',
        norm_cfg=dict(type='SyncBN', requires_grad=True),
    ),
    neck=dict(type='mmaddp.PixelShuffleNeck', in_channels=2048, scale=2),
    decoder=dict(in_channels=512),
)

# Table 14. No command is released for ResNet-50.
optim_wrapper = dict(optimizer=dict(lr=1.5e-3, betas=(0.9, 0.98)))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 10
param_scheduler[1].end = 300
train_cfg = dict(max_epochs=300)
auto_scale_lr = dict(base_batch_size=2048)
