# Table 16, at 224 x 224: the learned positions of 256 x 256 are interpolated.
_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/linear.py',
    '../../_base_/datasets/imagenet_224.py',
    '../../_base_/schedules/linear-probe_90e.py',
]

# Frozen blocks cannot adapt to embeddings without the norms of their pre-training.
model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(
        **_base_.encoder,
        img_size=224,
        pretrain_img_size=256,
        embed_norm=True,
        final_norm=True,
        frozen_stages=12,
    ),
)

train_dataloader = dict(batch_size=1024)
