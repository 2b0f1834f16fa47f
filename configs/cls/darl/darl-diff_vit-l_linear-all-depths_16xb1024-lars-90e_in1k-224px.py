_base_ = [
    '../../_base_/backbones/darl_vit-l.py',
    '../../_base_/heads/linear-all-depths.py',
    '../../_base_/datasets/imagenet_224.py',
    '../../_base_/schedules/linear-probe_90e.py',
]

model = dict(
    encoder=dict(
        _base_.encoder,
        img_size=224,
        patch_size=16,
        causal=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-l_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        ),
    )
)

# Table 13: learning rate 0.1. Tables 8 and 10 scale a "base learning rate" with the batch and say
# so; table 13 does neither, so 0.1 is the peak. (MAE's, which this probing follows, would be 6.4.)
optim_wrapper = dict(optimizer=dict(lr=0.1))

train_dataloader = dict(batch_size=1024)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
