# The same with DDPM++ by EDM.
_base_ = './ddae-edm_ddpmpp.py'

pretrainer = _base_.model
model = dict(
    _delete_=True,
    type='mmaddp.NoiseConditionalClassifier',
    pretrainer=pretrainer,
    layer='out_7',
    num_classes=10,
)
