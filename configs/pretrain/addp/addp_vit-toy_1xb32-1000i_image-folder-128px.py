# One's own images on a CPU: IMAGE_DIR=…, with TOKENIZER=… and TOKEN_PREDICTOR=… of the toy configs
# of ../vqgan and ../mage.
_base_ = [
    '../../_base_/pretrainers/addp_vit-toy.py',
    '../../_base_/datasets/image-folder_128_pretrain.py',
    '../../_base_/schedules/pretrain-toy_1000i.py',
]

custom_hooks = [
    dict(type='mmaddp.LossByMaskRatioHook'),
    dict(type='mmaddp.VisualizationHook', interval=250),
]
