# UperNet of 64 channels for images of 224 x 224, tested on whole images. CPUs have no SyncBN.
_base_ = './upernet.py'

norm_cfg = dict(type='BN', requires_grad=True)

model = dict(
    data_preprocessor=dict(size=(224, 224)),
    decode_head=dict(channels=64, norm_cfg=norm_cfg),
    auxiliary_head=dict(channels=64, norm_cfg=norm_cfg),
    test_cfg=dict(_delete_=True, mode='whole'),
)
