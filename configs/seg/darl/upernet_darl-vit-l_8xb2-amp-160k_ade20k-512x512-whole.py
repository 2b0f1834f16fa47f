# Tests the whole image at once instead of sliding a window over it, padded to whole patches.
_base_ = './upernet_darl-vit-l_8xb2-amp-160k_ade20k-512x512.py'

model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=16)),
    test_cfg=dict(_delete_=True, mode='whole'),
)
