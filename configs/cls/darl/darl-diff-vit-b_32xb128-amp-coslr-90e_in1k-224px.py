_base_ = './darl-mse-vit-b_32xb128-amp-coslr-90e_in1k-224px.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-b_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        )
    )
)
