# DARL's ViT-L/16 at the size of its pre-training. ENCODER names a checkpoint; each config has its
# own default.
encoder = dict(type='mmaddp.DARLViT', arch='large', img_size=224, patch_size=16)
pixel_values = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
