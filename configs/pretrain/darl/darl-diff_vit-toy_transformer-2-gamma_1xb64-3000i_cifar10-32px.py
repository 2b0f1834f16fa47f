# Appendix F's objective at toy size, for generation: a patch decoder of 2 blocks that is told the
# noise level, which is drawn uniformly.
_base_ = [
    '../../_base_/pretrainers/darl-diff_vit-l.py',
    '../../_base_/datasets/cifar10-folder_32_pretrain.py',
    '../../_base_/schedules/darl-toy_3000i.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        img_size=32,
        patch_size=4,
    ),
    patch_decoder=dict(num_layers=2, condition_on_gamma=True),
    noise=dict(a=1.0, b=1.0),
)
