# One's own images: IMAGE_DIR=…, with TOKENIZER=… of ../vqgan.
_base_ = [
    '../../_base_/pretrainers/mage_vit-b.py',
    '../../_base_/datasets/image-folder_256_pretrain.py',
    '../../_base_/schedules/mage_1600e.py',
]
