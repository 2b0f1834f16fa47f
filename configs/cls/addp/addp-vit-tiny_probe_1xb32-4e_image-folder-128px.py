# A small encoder of ADDP by DDAE's probing, in minutes on a CPU: 4 blocks, on one's own images at
# the 128 pixels of its pre-training.
_base_ = [
    '../../_base_/models/addp_vit-b.py',
    '../../_base_/datasets/image-folder_64.py',
    '../../_base_/schedules/linear-grid_4e.py',
]

encoder = _base_.model
encoder.encoder.update(arch=dict(embed_dims=192, num_layers=4, num_heads=3), img_size=128)
encoder.decoder.update(
    embed_dims=192, num_layers=4, num_heads=3, num_patches=64, num_embeddings=256
)
encoder.tokenizer.update(base_channels=16, embed_dims=64, num_embeddings=256, norm_groups=4)
encoder.token_predictor = None
model = dict(
    _delete_=True,
    type='mmaddp.GridProbe',
    encoder=encoder,
    num_classes=_base_.num_classes,
    batch_norm=True,
)

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 128
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_pipeline[2].crop_size = 128
train_dataloader = dict(batch_size=32, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='mmaddp.NamedAccuracy')
test_evaluator = val_evaluator
