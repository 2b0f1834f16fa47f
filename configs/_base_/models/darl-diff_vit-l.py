# The diffusion objective: a transformer block decodes each patch from the backbone's output and its
# corrupted self, whose noise level is drawn from Beta(0.03, 1) and not told (sections 3.1 and 4.1).
_base_ = './darl-mse_vit-l.py'

model = dict(
    patch_decoder=dict(_delete_=True, type='mmaddp.TransformerPatchDecoder', num_layers=1),
    noise=dict(a=0.03, b=1.0),
)
