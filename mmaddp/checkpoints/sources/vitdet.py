"""detectron2's released ViTDet detectors, for MMDetection's modules."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

from torch import Tensor

from ..judge import size_of
from ..rules import Rule, Source, Tensors, drop, keep, under

CASCADE_STAGES = 3
COPIED = 'copied to every stage: one mask head serves them all'
NOT_BACKBONE = 'not part of the backbone'
# ViTDet's heads apply LayerNorm to the channels at each position.
NORM = dict(type='mmaddp.LN2d', eps=1e-6)

# detectron2 names a level of the pyramid by the logarithm of its stride, and its layers by their
# place in a Sequential with the activation.
RESIZES = {
    '2.0': 'levels.0.resize.0',
    '2.1': 'levels.0.resize.1',
    '2.3': 'levels.0.resize.3',
    '3.0': 'levels.1.resize.0',
}
CONVS = {
    '2.4': 'levels.0.lateral',
    '2.5': 'levels.0.output',
    '3.1': 'levels.1.lateral',
    '3.2': 'levels.1.output',
    '4.0': 'levels.2.lateral',
    '4.1': 'levels.2.output',
    '5.1': 'levels.3.lateral',
    '5.2': 'levels.3.output',
}
PREPROCESSING = [
    drop(name, 'data preprocessor', 'the config normalizes') for name in ('pixel_mean', 'pixel_std')
]


def drop_class_position(pos_embed: Tensor) -> Tensor:
    """(1, 1 + N, C) -> (1, N, C)."""
    return pos_embed[:, 1:].clone()


def encoder(target: str) -> list[Rule]:
    """The ViT, whose file keeps a position for the class token that the network lacks."""
    net = 'backbone.net.'
    return [
        keep(
            f'{net}pos_embed',
            f'{target}pos_embed',
            note="the class token's position dropped: ViTDet has no class token",
            transform=drop_class_position,
        ),
        keep(f'{net}{{rest}}', f'{target}{{rest}}'),
    ]


def pyramid() -> list[Rule]:
    """The simple feature pyramid."""
    source, part = 'backbone.simfp_', 'pyramid'
    return [
        *(keep(f'{source}{a}.{{rest}}', f'neck.{b}.{{rest}}', part) for a, b in RESIZES.items()),
        *(keep(f'{source}{a}.weight', f'neck.{b}.weight', part) for a, b in CONVS.items()),
        *(
            keep(f'{source}{a}.norm.{{rest}}', f'neck.{b}.norm.{{rest}}', part)
            for a, b in CONVS.items()
        ),
    ]


def rpn() -> list[Rule]:
    """Region proposals, with one convolution or two."""
    source, part = 'proposal_generator.rpn_head.', 'RPN'
    names = {
        # ViTDet has two convolutions, detectron2's default is one.
        'conv.conv{i}': 'rpn_conv.{i}.conv',
        'conv': 'rpn_conv',
        'objectness_logits': 'rpn_cls',
        'anchor_deltas': 'rpn_reg',
    }
    return [
        drop(
            'proposal_generator.anchor_generator.{rest}', part, 'the config generates the anchors'
        ),
        *(
            keep(f'{source}{a}.{p}', f'rpn_head.{b}.{p}', part)
            for a, b in names.items()
            for p in ('weight', 'bias')
        ),
    ]


def box_head(stage: str) -> list[Rule]:
    """Four convolutions, one fully connected layer, classes and boxes; of one stage or the only."""
    part, target = 'box head', f'roi_head.bbox_head{stage}.'
    head, predictor = f'roi_heads.box_head{stage}.', f'roi_heads.box_predictor{stage}.'
    rules = [
        keep(f'{head}fc1.{{rest}}', f'{target}shared_fcs.0.{{rest}}', part),
        keep(f'{predictor}cls_score.{{rest}}', f'{target}fc_cls.{{rest}}', part),
        keep(f'{predictor}bbox_pred.{{rest}}', f'{target}fc_reg.{{rest}}', part),
    ]
    for i in range(4):
        # detectron2 counts convolutions from 1, MMDetection from 0.
        conv, theirs = f'{target}shared_convs.{i}.', f'{head}conv{i + 1}.'
        rules.append(keep(f'{theirs}weight', f'{conv}conv.weight', part))
        rules.append(keep(f'{theirs}norm.{{rest}}', f'{conv}ln.{{rest}}', part))
    return rules


def mask_head(cascade: bool) -> list[Rule]:
    """Four convolutions, a deconvolution and one map a class, copied to each stage of a cascade."""
    heads = [f'roi_head.mask_head.{stage}' for stage in range(CASCADE_STAGES)]
    names = {
        'deconv.{rest}': 'upsample.{rest}',
        'predictor.{rest}': 'conv_logits.{rest}',
    }
    for i in range(4):
        names[f'mask_fcn{i + 1}.weight'] = f'convs.{i}.conv.weight'
        names[f'mask_fcn{i + 1}.norm.{{rest}}'] = f'convs.{i}.ln.{{rest}}'
    return [
        Rule(
            f'roi_heads.mask_head.{theirs}',
            tuple(f'{head}.{ours}' for head in (heads if cascade else ['roi_head.mask_head'])),
            'mask head',
            note=COPIED if cascade else '',
        )
        for theirs, ours in names.items()
    ]


def detector(tensors: Tensors) -> list[Rule]:
    """The whole detector; RPN, box heads and mask head may each be absent as a whole."""
    # Only cascades number their stages.
    cascade = any(key.startswith('roi_heads.box_head.0.') for key in tensors)
    stages = [f'.{stage}' for stage in range(CASCADE_STAGES)] if cascade else ['']
    return [
        *encoder('backbone.'),
        *pyramid(),
        *rpn(),
        *(rule for stage in stages for rule in box_head(stage)),
        *mask_head(cascade),
        *PREPROCESSING,
    ]


def heads(state: Tensors) -> dict[str, dict]:
    """Configs of pyramid and heads by their paths, as large as the tensors of a detector."""
    width = size_of(state, (r'neck\.levels\.\d\.output\.(weight|norm\.weight|norm\.bias)', 0))
    channels = size_of(state, (r'backbone\.blocks\.\d+\.norm\d\.(weight|bias)', 0))
    found = {
        'neck': dict(type='mmaddp.SimpleFeaturePyramid', in_channels=channels, out_channels=width)
    }
    classes = num_classes(state)
    kinds = {
        'rpn_head': rpn_config,
        'roi_head.bbox_head': partial(box_config, classes=classes),
        'roi_head.mask_head': partial(mask_config, classes=classes),
    }
    for name in state:
        path = re.match(r'(rpn_head|roi_head\.(bbox|mask)_head(\.\d)?)(?=\.)', name)
        if path and path[0] not in found:
            kind = kinds[re.sub(r'\.\d$', '', path[0])]
            found[path[0]] = kind(under(state, f'{path[0]}.'), width)
    return found


def num_classes(state: Tensors) -> int:
    """Classes of a detector, by the majority of all stages' outputs."""
    # The box head scores the background too, the mask head does not.
    scores = (r'roi_head\.bbox_head(\.\d)?\.fc_cls\.(weight|bias)', 1)
    masks = (r'roi_head\.mask_head(\.\d)?\.conv_logits\.(weight|bias)', 0)
    sizes = Counter(
        len(tensor) - background
        for pattern, background in (scores, masks)
        for name, tensor in state.items()
        if re.fullmatch(pattern, name)
    )
    return sizes.most_common(1)[0][0] if sizes else 1


def rpn_config(state: Tensors, width: int) -> dict:
    """MMDetection's RPN, with as many anchors at a position as the file has."""
    # One score for each anchor at a position.
    anchors = size_of(state, (r'rpn_cls\.(weight|bias)', 0))
    return dict(
        type='mmdet.RPNHead',
        in_channels=width,
        feat_channels=width,
        num_convs=1 if 'rpn_conv.weight' in state else 2,
        anchor_generator=dict(
            type='mmdet.AnchorGenerator', scales=[8], ratios=[1.0] * anchors, strides=[16]
        ),
    )


def box_config(state: Tensors, width: int, classes: int) -> dict:
    """MMDetection's box head; in a cascade the boxes know no class."""
    inputs = size_of(state, (r'shared_fcs\.0\.weight', 1))
    return dict(
        type='mmdet.Shared4Conv1FCBBoxHead',
        in_channels=width,
        conv_out_channels=width,
        fc_out_channels=size_of(
            state, (r'(fc_cls|fc_reg)\.weight', 1), (r'shared_fcs\.0\.(weight|bias)', 0)
        ),
        # The first layer reads width * side * side values.
        roi_feat_size=round((inputs / max(width, 1)) ** 0.5) or 7,
        num_classes=classes,
        # Four numbers for all classes together, else four for each.
        reg_class_agnostic=size_of(state, (r'fc_reg\.(weight|bias)', 0)) == 4,
        norm_cfg=NORM,
    )


def mask_config(state: Tensors, width: int, classes: int) -> dict:
    """MMDetection's mask head."""
    return dict(
        type='mmdet.FCNMaskHead',
        in_channels=width,
        conv_out_channels=width,
        num_classes=classes,
        norm_cfg=NORM,
    )


VITDET = Source(
    'vitdet',
    marks=[{'backbone.net.blocks.0.norm1.weight'}],
    tables={
        'backbone': [
            *encoder(''),
            drop('backbone.simfp_{rest}', 'pyramid', NOT_BACKBONE),
            drop('proposal_generator.{rest}', 'RPN', NOT_BACKBONE),
            drop('roi_heads.{rest}', 'heads', NOT_BACKBONE),
            *PREPROCESSING,
        ],
        'detector': detector,
    },
    whole=('detector', ''),
    heads=heads,
)
