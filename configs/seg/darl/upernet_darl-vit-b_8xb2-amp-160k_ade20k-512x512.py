_base_ = [
    '../../_base_/models/upernet_darl-vit-b.py',
    '../../_base_/datasets/ade20k_512x512.py',
    '../../_base_/schedules/upernet-mae_160k.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-b_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        )
    )
)
