# The ablations' fine-tuning (table 9), of the encoder of 100 epochs.
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
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px/epoch_100.pth}}',
        ),
    ),
)

param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 50
train_cfg = dict(max_epochs=50)
