# DARL with a ViT-L/16 and the diffusion objective. A transformer block decodes each patch from the
# backbone's output and the corrupted patch; the noise level is sampled from Beta(0.03, 1).
# The decoder does not see it (sections 3.1 and 4.1).
model = dict(
    type='mmaddp.DARL',
    backbone=dict(type='mmaddp.DARLViT', arch='large', img_size=224, patch_size=16, causal=True),
    patch_decoder=dict(type='mmaddp.TransformerPatchDecoder', num_layers=1),
    noise=dict(a=0.03, b=1.0),
)
