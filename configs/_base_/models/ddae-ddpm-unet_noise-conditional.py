# The noise-conditional classifier of DDAE's section 4.1.3 on the UNet of 35.7M parameters: the
# block is that of the authors' linear probing, and g as wide inside as in their code.
_base_ = './ddae-ddpm_unet.py'

pretrainer = _base_.model
model = dict(
    _delete_=True,
    type='mmaddp.NoiseConditionalClassifier',
    pretrainer=pretrainer,
    layer='out_6',
    num_classes=10,
)
