# The layer decay is that of MAE's ViT-L.
_base_ = [
    '../../_base_/models/upernet_ddae-dit-xl.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:checkpoints/DiT-XL-2-256x256.pt}}',
        )
    )
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
