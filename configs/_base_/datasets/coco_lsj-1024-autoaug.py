# DARL's table 11: a scale of 0.1 to 2.5 and the "panoptic deeplab policy" of TensorFlow's model
# garden, five pairs of color operations of which one is drawn for an image. These are its
# operations and probabilities by MMDetection's transforms, before the jitter as there. Their
# magnitudes come from the policy's levels (0.18 level + 0.1, or 25.6 level for Solarize), and
# MMDetection rounds them to one decimal. A pair's Equalize of probability 0 is left out.
_base_ = './coco_lsj-1024.py'

panoptic_deeplab_policy = [
    [
        dict(type='Sharpness', prob=0.4, min_mag=0.352, max_mag=0.352),
        dict(type='Brightness', prob=0.2, min_mag=0.46, max_mag=0.46),
    ],
    [dict(type='Contrast', prob=0.2, min_mag=0.46, max_mag=0.46)],
    [
        dict(type='Sharpness', prob=0.2, min_mag=0.424, max_mag=0.424),
        dict(type='Color', prob=0.2, min_mag=0.424, max_mag=0.424),
    ],
    [
        dict(type='Solarize', prob=0.2, min_mag=35.0, max_mag=35.0),
        dict(type='Equalize', prob=0.6),
    ],
    [
        dict(type='Sharpness', prob=0.2, min_mag=0.136, max_mag=0.136),
        dict(type='Equalize', prob=0.2),
    ],
]

train_pipeline = _base_.train_pipeline
train_pipeline.insert(2, dict(type='AutoAugment', policies=panoptic_deeplab_policy))
train_pipeline[4].ratio_range = (0.1, 2.5)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
