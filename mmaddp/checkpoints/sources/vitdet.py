"""detectron2's released ViTDet detectors, for MMDetection's modules.

Symbols beside the ViT's: O channels of the pyramid, A anchors a place, F channels of a box head's
fully connected layer, N classes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor

from ..rules import Rule, Source, drop, keep
from .vit import CLASS_AND_GRID, blocks, relative_positions

STAGES = 3
HEAD_CONVS = 4
CLASS_POSITION = "the class token's position dropped: ViTDet has no class token"
COPIED = 'copied to every stage: one mask head serves them all'

# detectron2's layer -> ours, and the sizes of its weight
PYRAMID_CONVS = {
    '2.4': ('levels.0.lateral', 'O C/4 1 1'),
    '2.5': ('levels.0.output', 'O O 3 3'),
    '3.1': ('levels.1.lateral', 'O C/2 1 1'),
    '3.2': ('levels.1.output', 'O O 3 3'),
    '4.0': ('levels.2.lateral', 'O C 1 1'),
    '4.1': ('levels.2.output', 'O O 3 3'),
    '5.1': ('levels.3.lateral', 'O C 1 1'),
    '5.2': ('levels.3.output', 'O O 3 3'),
}
PYRAMID_RESIZES = {
    '2.0': ('levels.0.resize.0', 'C C/2 2 2', 'C/2'),
    '2.1': ('levels.0.resize.1', 'C/2', 'C/2'),
    '2.3': ('levels.0.resize.3', 'C/2 C/4 2 2', 'C/4'),
    '3.0': ('levels.1.resize.0', 'C C/2 2 2', 'C/2'),
}
HEADS = [
    drop('backbone.simfp_{rest}', 'pyramid', 'not part of the backbone'),
    drop('proposal_generator.{rest}', 'RPN', 'not part of the backbone'),
    drop('roi_heads.{rest}', 'heads', 'not part of the backbone'),
]
PREPROCESSING = [
    drop('pixel_mean', 'data preprocessor', 'the config normalizes'),
    drop('pixel_std', 'data preprocessor', 'the config normalizes'),
]


def drop_class_position(pos_embed: Tensor) -> Tensor:
    """(1, 1 + N, C) -> (1, N, C)."""
    return pos_embed[:, 1:].clone()


def encoder(target: str) -> list[Rule]:
    """The ViT, whose file keeps a position for the class token that the network lacks."""
    net, part = 'backbone.net.', 'encoder'
    return [
        keep(
            f'{net}pos_embed',
            f'{target}pos_embed',
            f'1 {CLASS_AND_GRID} C',
            part,
            why=CLASS_POSITION,
            transform=drop_class_position,
        ),
        *layer(f'{net}patch_embed.proj', [f'{target}patch_embed.proj'], 'C I P P', 'C', part),
        *blocks(f'{net}blocks.{{i}}', f'{target}blocks.{{i}}', part),
        *relative_positions(f'{net}blocks.{{i}}', f'{target}blocks.{{i}}', part),
    ]


def layer(
    source: str, targets: Sequence[str], weight: str, bias: str, part: str, group: str = ''
) -> list[Rule]:
    """A layer with weight and bias; with several targets each gets a copy."""
    why = COPIED if len(targets) > 1 else ''
    return [
        Rule(
            f'{source}.{name}',
            tuple(f'{target}.{name}' for target in targets),
            shape,
            part,
            why,
            group=group,
        )
        for name, shape in (('weight', weight), ('bias', bias))
    ]


def normed_conv(
    source: str, convs: Sequence[str], norms: Sequence[str], weight: str, part: str, group: str = ''
) -> list[Rule]:
    """A convolution without bias and its LayerNorm, which detectron2 keeps inside."""
    why = COPIED if len(convs) > 1 else ''
    kernel = Rule(
        f'{source}.weight',
        tuple(f'{conv}.weight' for conv in convs),
        weight,
        part,
        why,
        group=group,
    )
    width = weight.split()[0]
    return [kernel, *layer(f'{source}.norm', norms, width, width, part, group)]


def pyramid() -> list[Rule]:
    """The simple feature pyramid."""
    part, rules = 'pyramid', []
    for number, (name, weight, bias) in PYRAMID_RESIZES.items():
        rules += layer(f'backbone.simfp_{number}', [f'neck.{name}'], weight, bias, part)
    for number, (name, weight) in PYRAMID_CONVS.items():
        rules += normed_conv(
            f'backbone.simfp_{number}', [f'neck.{name}'], [f'neck.{name}.norm'], weight, part
        )
    return rules


def rpn(keys: Collection[str]) -> list[Rule]:
    """Region proposals, with one convolution or two."""
    source, part = 'proposal_generator.rpn_head', 'RPN'
    if f'{source}.conv.weight' in keys:
        convs = {'conv': 'rpn_conv'}
    else:
        convs = {f'conv.conv{i}': f'rpn_conv.{i}.conv' for i in range(2)}
    rules = [
        *layer(f'{source}.objectness_logits', ['rpn_head.rpn_cls'], 'A O 1 1', 'A', part, part),
        *layer(f'{source}.anchor_deltas', ['rpn_head.rpn_reg'], '4A O 1 1', '4A', part, part),
        drop(
            'proposal_generator.anchor_generator.{rest}', part, 'the config generates the anchors'
        ),
    ]
    for conv, target in convs.items():
        rules += layer(f'{source}.{conv}', [f'rpn_head.{target}'], 'O O 3 3', 'O', part, part)
    return rules


def box_head(stage: str, box_outputs: str) -> list[Rule]:
    """Four convolutions, one fully connected layer, classes and boxes; of one stage or the only."""
    source, part, group = f'roi_heads.box_head{stage}', 'box head', 'box head'
    target = f'roi_head.bbox_head{stage}'
    predictor = f'roi_heads.box_predictor{stage}'
    rules = [
        *layer(f'{source}.fc1', [f'{target}.shared_fcs.0'], 'F *', 'F', part, group),
        *layer(f'{predictor}.cls_score', [f'{target}.fc_cls'], 'N+1 F', 'N+1', part, group),
        *layer(
            f'{predictor}.bbox_pred',
            [f'{target}.fc_reg'],
            f'{box_outputs} F',
            box_outputs,
            part,
            group,
        ),
    ]
    for i in range(HEAD_CONVS):
        conv = f'{target}.shared_convs.{i}'
        rules += normed_conv(
            f'{source}.conv{i + 1}', [f'{conv}.conv'], [f'{conv}.ln'], 'O O 3 3', part, group
        )
    return rules


def mask_head(targets: Sequence[str]) -> list[Rule]:
    """Four convolutions, a deconvolution and one map a class."""
    source, part, group = 'roi_heads.mask_head', 'mask head', 'mask head'

    def inside(name: str) -> list[str]:
        return [f'{target}.{name}' for target in targets]

    rules = [
        *layer(f'{source}.deconv', inside('upsample'), 'O O 2 2', 'O', part, group),
        *layer(f'{source}.predictor', inside('conv_logits'), 'N O 1 1', 'N', part, group),
    ]
    for i in range(HEAD_CONVS):
        rules += normed_conv(
            f'{source}.mask_fcn{i + 1}',
            inside(f'convs.{i}.conv'),
            inside(f'convs.{i}.ln'),
            'O O 3 3',
            part,
            group,
        )
    return rules


def roi_heads(keys: Collection[str]) -> list[Rule]:
    """Mask R-CNN's heads, or Cascade Mask R-CNN's with boxes that know no class."""
    if not any(key.startswith('roi_heads.box_head.0.') for key in keys):
        return [*box_head('', '4N'), *mask_head(['roi_head.mask_head'])]
    stages = [f'.{stage}' for stage in range(STAGES)]
    boxes = [rule for stage in stages for rule in box_head(stage, '4')]
    return [*boxes, *mask_head([f'roi_head.mask_head{stage}' for stage in stages])]


def detector(keys: Collection[str]) -> list[Rule]:
    """The whole detector; RPN, box heads and mask head may each be absent as a whole."""
    return [*encoder('backbone.'), *pyramid(), *rpn(keys), *roi_heads(keys), *PREPROCESSING]


def backbone(keys: Collection[str]) -> list[Rule]:
    """The ViT alone, without class token."""
    return [*encoder(''), *HEADS, *PREPROCESSING]


VITDET = Source(
    'vitdet',
    'backbone.net.blocks.0.* (a detector of detectron2)',
    lambda keys: 'backbone.net.blocks.0.norm1.weight' in keys,
    {'backbone': backbone, 'detector': detector},
)
