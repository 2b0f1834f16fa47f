# Faster R-CNN of 48 channels, with fewer proposals.
_base_ = './faster-rcnn_sfp.py'

model = dict(
    neck=dict(out_channels=48),
    rpn_head=dict(in_channels=48, feat_channels=48),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=48),
        bbox_head=dict(in_channels=48, conv_out_channels=48, fc_out_channels=256),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100), rcnn=dict(sampler=dict(num=48))
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
)
