# Table 1: the encoder of 400 epochs with learnable positions.
_base_ = './darl-mse-vit-l_32xb128-amp-coslr-50e_in1k-224px.py'

model = dict(
    backbone=dict(
        positions='learnable',
        init_cfg=dict(
            checkpoint='{{$ENCODER:work_dirs/darl-mse_vit-l_positions-learnable_64xb64-amp-coslr-400e_in1k-224px/epoch_400.pth}}'
        ),
    )
)
