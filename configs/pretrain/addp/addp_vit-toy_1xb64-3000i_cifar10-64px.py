# CIFAR-10 (CIFAR10_DIR), cropped at its own size and resized to 64 x 64: a token covers 4 x 4 of
# its pixels, as in toy DARL. TOKENIZER and TOKEN_PREDICTOR are of the toy configs, trained with
# IMAGE_DIR=$CIFAR10_DIR/train.
_base_ = [
    '../../_base_/pretrainers/addp_vit-toy.py',
    '../../_base_/datasets/cifar10-folder_32_pretrain.py',
    '../../_base_/schedules/darl-toy_3000i.py',
]

train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, dict(type='Resize', scale=64, interpolation='bicubic'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

custom_hooks = [
    dict(type='mmaddp.LossByMaskRatioHook'),
    dict(type='mmaddp.VisualizationHook', interval=500),
]
