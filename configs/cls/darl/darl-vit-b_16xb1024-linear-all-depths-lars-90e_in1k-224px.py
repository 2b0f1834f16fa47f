_base_ = './darl-vit-l_16xb1024-linear-all-depths-lars-90e_in1k-224px.py'

model = dict(
    backbone=dict(
        arch='base',
        frozen_stages=12,
        out_indices=list(range(12)),
        init_cfg=dict(
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-b_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}'
        ),
    ),
    head=dict(num_depths=12, neck=dict(in_channels=768), head=dict(in_channels=768)),
)
