# One's own images: IMAGE_DIR=…, with TOKENIZER=… and TOKEN_PREDICTOR=… of ../vqgan and ../mage.
_base_ = [
    '../../_base_/pretrainers/addp_vit-b.py',
    '../../_base_/datasets/image-folder_256_pretrain.py',
    '../../_base_/schedules/addp_1600e.py',
]
