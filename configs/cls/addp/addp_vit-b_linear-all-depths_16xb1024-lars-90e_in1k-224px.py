# The linear probe at the end of every block in one run, by table 16's recipe. The table does not
# say which depth it probes.
_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/linear-all-depths.py',
    '../../_base_/datasets/imagenet_224.py',
    '../../_base_/schedules/linear-probe_90e.py',
]

model = dict(
    encoder=dict(
        **_base_.encoder,
        img_size=224,
        pretrain_img_size=256,
        embed_norm=True,
        final_norm=True,
    ),
    head=dict(label_smoothing=0.0),
)

train_dataloader = dict(batch_size=1024)

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
