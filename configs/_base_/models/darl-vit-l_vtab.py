# Table 12: fine-tuning with causal attention, label smoothing 0.1, without mixup and cutmix unless
# the sweep adds them. The read-out is fine-tuning's, the last patch's output, which has seen the
# whole image under the mask.
_base_ = './darl-vit-l_last-token.py'

model = dict(
    backbone=dict(
        causal=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-l_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        ),
    ),
    train_cfg=None,
)
