# MAGE's ViT-B, which reads VQ tokens. TOKENIZER names the tokenizer's file. The grids make it a
# ViT-L.
encoder = dict(
    type='mmaddp.MAGEViT',
    arch='base',
    tokenizer=dict(
        type='mmaddp.VQGAN',
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$TOKENIZER:checkpoints/vqgan_jax_strongaug.ckpt}}'
        ),
    ),
    init_cfg=dict(type='Pretrained', checkpoint='checkpoints/mage-vitb-1600.pth'),
)
# The tokenizer takes images in [0, 1].
pixel_values = dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0])

# As ADDP's, except that the norm of the embeddings stays.
dense = dict(
    **encoder,
    pretrain_img_size=256,
    with_cls_token=False,
    final_norm=False,
    use_rel_pos=True,
)
