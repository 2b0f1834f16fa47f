_base_ = [
    '../../_base_/backbones/addp_vit-b.py',
    '../../_base_/heads/dpt_depth.py',
    '../../_base_/datasets/nyu_416x544.py',
    '../../_base_/schedules/depth-finetune_38k.py',
]

model = dict(
    data_preprocessor=_base_.pixel_values,
    backbone=dict(**_base_.dense, img_size=512, drop_path_rate=0.1, out_indices=(2, 5, 8, 11)),
    decode_head=dict(in_channels=4 * [768], embed_dims=768),
)

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.65))
