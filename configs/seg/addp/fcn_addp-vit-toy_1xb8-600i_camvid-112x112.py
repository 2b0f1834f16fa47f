# The zoo's ADDP encoder under a linear layer, fine-tuned as a whole. It keeps the norm after the
# embeddings, which the authors' fine-tuning drops. From scratch: --cfg-options
# model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/fcn_toy.py',
    '../../_base_/datasets/camvid_112x112.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

model = dict(
    data_preprocessor=dict(_base_.pixel_values, size=(112, 112), test_cfg=dict(size_divisor=8)),
    backbone=dict(
        _base_.encoder,
        img_size=112,
        with_cls_token=False,
        final_norm=False,
        use_rel_pos=True,
        out_indices=(0, 1, 2, 3),
    ),
    decode_head=dict(in_channels=4 * [192], channels=4 * 192, num_classes=11),
)
