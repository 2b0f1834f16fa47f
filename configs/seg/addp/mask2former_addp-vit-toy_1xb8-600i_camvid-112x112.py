# The zoo's ADDP encoder under a Mask2Former of 64 channels and 20 queries. From scratch:
# --cfg-options model.backbone.init_cfg=None.
_base_ = [
    '../../_base_/backbones/addp_vit-toy.py',
    '../../_base_/heads/mask2former.py',
    '../../_base_/datasets/camvid_112x112.py',
    '../../_base_/schedules/seg-toy_600i.py',
]

num_classes = 11
attention = dict(embed_dims=64, num_heads=4)
ffn = dict(embed_dims=64, feedforward_channels=128)

model = dict(
    data_preprocessor=dict(_base_.pixel_values, size=(112, 112)),
    backbone=dict(
        _base_.encoder,
        img_size=112,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        use_rel_pos=True,
        out_indices=(0, 1, 2, 3),
    ),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=192,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    decode_head=dict(
        in_channels=4 * [192],
        feat_channels=64,
        out_channels=64,
        num_classes=num_classes,
        num_queries=20,
        pixel_decoder=dict(
            encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=ffn)),
            positional_encoding=dict(num_feats=32),
        ),
        positional_encoding=dict(num_feats=32),
        transformer_decoder=dict(
            num_layers=3,
            layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn),
        ),
        loss_cls=dict(class_weight=num_classes * [1.0] + [0.1]),
        train_cfg=dict(num_points=784),
    ),
)
