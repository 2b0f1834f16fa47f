_base_ = [
    '../../_base_/backbones/darl_vit-l.py',
    '../../_base_/heads/last-token.py',
    '../../_base_/datasets/imagenet_224_randaug-9.py',
    '../../_base_/schedules/darl-finetune_90e.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(
        _base_.encoder,
        img_size=224,
        arch='huge',
        patch_size=14,
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-h_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        ),
    ),
    head=dict(in_channels=1280),
)

optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min_ratio = 1e-6 / 3e-3
