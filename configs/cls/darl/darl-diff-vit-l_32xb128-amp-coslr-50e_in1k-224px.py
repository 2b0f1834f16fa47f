# The ablations' fine-tuning (table 9), of the encoder of 100 epochs.
_base_ = './darl-mse-vit-l_32xb128-amp-coslr-50e_in1k-224px.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-l_64xb64-amp-coslr-100e_in1k-224px/epoch_100.pth}}',
        )
    )
)
