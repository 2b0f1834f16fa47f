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
        patch_size=16,
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-l_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        ),
    ),
)
