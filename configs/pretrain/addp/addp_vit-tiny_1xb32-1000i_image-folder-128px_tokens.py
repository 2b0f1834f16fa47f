# Reads the tokens that tools/dataset_converters/tokenize_dataset.py wrote to TOKEN_DIR, given the
# config without _tokens, in place of images. TOKENIZER must be the file that they were made with.
_base_ = './addp_vit-tiny_1xb32-1000i_image-folder-128px.py'

model = dict(data_preprocessor=dict(type='BaseDataPreprocessor'))
train_dataloader = dict(
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        _delete_=True, type='mmaddp.VQTokenDataset', data_root='{{$TOKEN_DIR:data/tokens}}'
    ),
)
