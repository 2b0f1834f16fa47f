# DARL with a ViT-L/16 and mean squared error: a linear patch decoder (section 3.1). The backbone's
# defaults are the paper's: decomposed rotary positions, a start token, raster order. Its features
# are causal, as in training.
model = dict(
    type='mmaddp.DARL',
    backbone=dict(type='mmaddp.DARLViT', arch='large', img_size=224, patch_size=16, causal=True),
    patch_decoder=dict(type='mmaddp.MLPPatchDecoder', num_layers=0),
)
