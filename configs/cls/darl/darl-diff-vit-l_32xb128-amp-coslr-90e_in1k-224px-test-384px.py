# The fine-tuned encoder tested at 384 x 384, where rotary positions are interpolated.
_base_ = './darl-diff-vit-l_32xb128-amp-coslr-90e_in1k-224px.py'

test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_pipeline[2].crop_size = 384
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
