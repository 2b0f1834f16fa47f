# The ablations' fine-tuning (table 9), of the encoder of 100 epochs.
_base_ = [
    '../../_base_/models/darl-vit-l_last-token.py',
    '../../_base_/datasets/imagenet_224_randaug-9.py',
    '../../_base_/schedules/darl-finetune_50e.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-mse_vit-l_64xb64-amp-coslr-100e_in1k-224px/epoch_100.pth}}',
        )
    )
)
