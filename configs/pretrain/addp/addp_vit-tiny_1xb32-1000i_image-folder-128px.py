# Everything small, for one's own images and a CPU: TOKENIZER and TOKEN_PREDICTOR name checkpoints
# of ../vqgan and ../mage's configs of this size, IMAGE_DIR the images. Learning rate and length are
# no paper's.
_base_ = [
    '../../_base_/models/addp_vit-b.py',
    '../../_base_/datasets/image-folder_128_pretrain.py',
    '../../_base_/schedules/pretrain-tiny_1000i.py',
]

model = dict(
    encoder=dict(arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3), img_size=128),
    decoder=dict(embed_dims=192, num_layers=4, num_heads=3, num_patches=64, num_embeddings=256),
    tokenizer=dict(
        base_channels=16,
        embed_dims=64,
        num_embeddings=256,
        norm_groups=4,
        init_cfg=dict(checkpoint='{{$TOKENIZER:checkpoints/vqgan-tiny.pth}}'),
    ),
    token_predictor=dict(
        encoder=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        decoder=dict(embed_dims=192, num_layers=2, num_heads=3),
        num_patches=64,
        num_embeddings=256,
        init_cfg=dict(checkpoint='{{$TOKEN_PREDICTOR:checkpoints/mage-tiny.pth}}'),
    ),
)

custom_hooks = [
    dict(type='mmaddp.LossByMaskRatioHook'),
    dict(type='mmaddp.VisualizationHook', interval=250),
]
