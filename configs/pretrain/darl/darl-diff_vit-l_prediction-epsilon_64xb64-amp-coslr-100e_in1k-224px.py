# Section 4.1, training objective: the noise is predicted, not the patch.
_base_ = './darl-diff_vit-l_64xb64-amp-coslr-100e_in1k-224px.py'

model = dict(prediction='epsilon')
