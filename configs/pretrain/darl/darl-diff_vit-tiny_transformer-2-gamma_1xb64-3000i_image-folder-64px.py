# Appendix F's objective at this size, for generation: 2 blocks told the noise level, which is drawn
# uniformly.
_base_ = './darl-diff_vit-tiny_1xb64-3000i_image-folder-64px.py'

model = dict(
    patch_decoder=dict(num_layers=2, condition_on_gamma=True),
    noise=dict(a=1.0, b=1.0),
)
