# Mask R-CNN of 48 channels, with fewer proposals. Strides and anchors are half of ViTDet's, for
# encoders of 8 x 8 patches.
_base_ = './mask-rcnn_sfp.py'

strides = [2, 4, 8, 16]

model = dict(
    neck=dict(out_channels=48),
    rpn_head=dict(in_channels=48, feat_channels=48, anchor_generator=dict(strides=[*strides, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=48, featmap_strides=strides),
        bbox_head=dict(in_channels=48, conv_out_channels=48, fc_out_channels=256),
        mask_roi_extractor=dict(out_channels=48, featmap_strides=strides),
        mask_head=dict(in_channels=48, conv_out_channels=48),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100), rcnn=dict(sampler=dict(num=48))
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
)
