# ADDP's ViT-L at the size of its pre-training.
encoder = dict(
    type='mmaddp.ADDPViT',
    arch='large',
    img_size=256,
    init_cfg=dict(type='Pretrained', checkpoint='checkpoints/addp-vit-large-16.pth'),
)
pixel_values = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
