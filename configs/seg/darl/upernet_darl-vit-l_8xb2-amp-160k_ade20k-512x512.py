# Layer decay is what DARL fine-tunes with on ImageNet; drop path and depths are those of ADDP's.
_base_ = './upernet_darl-vit-b_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.2,
        out_indices=(7, 11, 15, 23),
        init_cfg=dict(
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-l_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}'
        ),
    ),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024),
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
