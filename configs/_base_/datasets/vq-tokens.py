# Tokens in place of images, as tools/dataset_converters/tokenize_dataset.py wrote them to
# TOKEN_DIR. The model then needs data_preprocessor=dict(type='BaseDataPreprocessor') and, as
# TOKENIZER, the file that made the tokens.
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='mmaddp.VQTokenDataset', data_root='{{$TOKEN_DIR:data/tokens}}'),
)
