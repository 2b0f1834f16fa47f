# Tokens that tools/dataset_converters/tokenize_dataset.py computed ahead, given the config of the
# images. TOKENIZER must be the file that made them.
_base_ = [
    '../../_base_/pretrainers/addp_vit-toy.py',
    '../../_base_/datasets/vq-tokens.py',
    '../../_base_/schedules/pretrain-toy_1000i.py',
]

model = dict(data_preprocessor=dict(type='BaseDataPreprocessor'))

custom_hooks = [
    dict(type='mmaddp.LossByMaskRatioHook'),
    dict(type='mmaddp.VisualizationHook', interval=250),
]
