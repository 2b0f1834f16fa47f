# Tokens instead of images, written to TOKEN_DIR by tools/dataset_converters/tokenize_dataset.py.
# The model then needs data_preprocessor=dict(type='BaseDataPreprocessor'). TOKENIZER must be the
# file that produced the tokens.
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='mmaddp.VQTokenDataset', data_root='{{$TOKEN_DIR:data/tokens}}'),
)
