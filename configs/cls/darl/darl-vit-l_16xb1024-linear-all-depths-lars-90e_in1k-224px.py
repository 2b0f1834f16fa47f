_base_ = [
    '../../_base_/models/darl-vit-l_linear-all-depths.py',
    '../../_base_/datasets/imagenet_224.py',
    '../../_base_/schedules/darl-linear-probe_90e.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$ENCODER:work_dirs/darl-diff_vit-l_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
        )
    )
)

train_dataloader = dict(batch_size=1024)
val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
