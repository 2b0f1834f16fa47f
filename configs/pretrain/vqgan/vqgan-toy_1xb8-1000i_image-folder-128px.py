# A narrow tokenizer of one's own images for a CPU: 64 tokens an image, 256 codes, trained by the
# reconstruction and quantization losses alone. No number is a paper's.
_base_ = [
    '../../_base_/datasets/image-folder_128_pretrain.py',
    '../../_base_/schedules/pretrain-toy_1000i.py',
]

model = dict(
    type='mmaddp.VQGANTrainer',
    tokenizer=dict(
        type='mmaddp.VQGAN', base_channels=16, embed_dims=64, num_embeddings=256, norm_groups=4
    ),
    quantize_from=100,
)
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')

train_dataloader = dict(batch_size=8)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99)),
    clip_grad=dict(max_norm=1.0),
)
auto_scale_lr = dict(base_batch_size=8)
