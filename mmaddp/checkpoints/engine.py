"""The one engine that applies a table of rules, strictly."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from string import Formatter

import torch
from torch import Tensor

from mmaddp.utils import UserError

from .rules import Added, Rule
from .shapes import parse_shape, shape_conflicts, sizes_of, symbol_values

MAX_NAMES = 6


@dataclass(frozen=True)
class Match:
    """A key of the file, the rule that it fits, and what the placeholders stand for."""

    key: str
    rule: Rule
    fields: dict[str, str]


@dataclass(frozen=True)
class Part:
    """A line of the summary: tensors of one part of the network with the same fate."""

    name: str
    tensors: int
    parameters: int
    fate: str


@dataclass(frozen=True)
class Conversion:
    """The converted tensors and what became of every tensor of the file."""

    state_dict: dict[str, Tensor]
    parts: list[Part]


def apply_rules(
    tensors: Mapping[str, Tensor],
    rules: Sequence[Rule],
    keep_on_request: bool = False,
    added: Sequence[Added] = (),
) -> Conversion:
    """Convert a file's tensors.

    Args:
        tensors: Names and tensors, on any device, the meta device included.
        rules: The table; every key must fit exactly one rule.
        keep_on_request: Keep what rules marked ``on_request`` would else drop.
        added: Tensors that the result has, whether or not the file holds them.

    Raises:
        UserError: A rule is not filled for every index, a key fits no rule, or shapes disagree;
            the message names them.
        ValueError: The table itself is ambiguous.
    """
    matches, left_over = match_keys(tensors, rules)
    complaints = {
        'not a plain ViT': [f'{m.key}: {m.rule.why}' for m in matches if m.rule.refused],
        'missing': list(missing_keys(tensors, rules, matches)),
        'left over': left_over,
        'wrong shape': shape_conflicts(
            (m.key, tuple(tensors[m.key].shape), m.rule.shape) for m in matches
        ),
    }
    message = '; '.join(
        f'{what}: {shortened(names)}' for what, names in complaints.items() if names
    )
    if message:
        raise UserError(message)
    conversion = build(tensors, matches, keep_on_request)
    return complete(conversion, tensors, matches, added) if added else conversion


def match_keys(
    tensors: Mapping[str, Tensor], rules: Sequence[Rule]
) -> tuple[list[Match], list[str]]:
    """The rule of each key, and the keys without one."""
    literal = {rule.source: rule for rule in rules if '{' not in rule.source}
    patterns = [(compile_pattern(rule.source), rule) for rule in rules if '{' in rule.source]
    if len(literal) + len(patterns) != len(rules):
        raise ValueError('two rules of the table have the same source')
    matches, left_over = [], []
    for key in tensors:
        found = [Match(key, literal[key], {})] if key in literal else []
        for pattern, rule in patterns:
            fields = pattern.fullmatch(key)
            if fields:
                found.append(Match(key, rule, fields.groupdict()))
        if len(found) > 1:
            raise ValueError(f'{key} fits {[match.rule.source for match in found]}')
        matches += found
        left_over += [] if found else [key]
    return matches, left_over


def compile_pattern(source: str) -> re.Pattern:
    """A rule's source as a regular expression; indices have no leading zeros."""
    expression = ''
    for text, field, _, _ in Formatter().parse(source):
        expression += re.escape(text)
        if field:
            expression += f'(?P<{field}>{".+" if field == "rest" else "0|[1-9][0-9]*"})'
    return re.compile(expression)


def missing_keys(
    tensors: Mapping[str, Tensor], rules: Sequence[Rule], matches: Sequence[Match]
) -> Iterator[str]:
    """Names that required rules ask for, at every index up to the largest seen, in vain."""
    counts = index_counts(matches, limit=len(tensors))
    groups = {match.rule.group for match in matches} | {''}
    for rule in rules:
        if not rule.required or rule.group not in groups:
            continue
        fields = [field for _, field, _, _ in Formatter().parse(rule.source) if field]
        if 'rest' in fields:
            continue
        for indices in product(*(range(counts.get(field, 1)) for field in fields)):
            key = rule.source.format(**dict(zip(fields, indices)))
            if key not in tensors:
                yield key


def index_counts(matches: Sequence[Match], limit: int) -> dict[str, int]:
    """How many values each index takes: the largest plus one, and no more than keys exist."""
    counts: dict[str, int] = defaultdict(int)
    for match in matches:
        for field, text in match.fields.items():
            if field != 'rest':
                counts[field] = min(max(counts[field], int(text) + 1), limit)
    return counts


def build(
    tensors: Mapping[str, Tensor], matches: Sequence[Match], keep_on_request: bool
) -> Conversion:
    """Rename and transform what is kept, and count what became of everything."""
    state_dict: dict[str, Tensor] = {}
    pieces: dict[str, dict[int, Tensor]] = defaultdict(dict)
    counts: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for match in matches:
        rule, tensor = match.rule, tensors[match.key]
        kept = bool(rule.targets) and (keep_on_request or not rule.on_request)
        tensor = rule.transform(tensor) if kept and rule.transform else tensor
        for number, target in enumerate(rule.targets if kept else ()):
            name = target.format(**match.fields)
            if name in state_dict or rule.piece in pieces.get(name, ()):
                raise ValueError(f'two rules of the table fill {name}')
            if rule.piece is None:
                state_dict[name] = tensor.clone() if number else tensor
            else:
                pieces[name][rule.piece] = tensor
        counts[rule.part, fate(rule, kept)].update(tensors=1, parameters=tensor.numel())
    for name, parts in pieces.items():
        state_dict[name] = torch.cat([parts[number] for number in sorted(parts)])
    return Conversion(state_dict, summary(counts))


def complete(
    conversion: Conversion,
    tensors: Mapping[str, Tensor],
    matches: Sequence[Match],
    added: Sequence[Added],
) -> Conversion:
    """Make what is still lacking, in the sizes that the file's own tensors give."""
    shapes = ((tuple(tensors[m.key].shape), parse_shape(m.rule.shape)) for m in matches)
    values = symbol_values(shapes)
    device = next(iter(tensors.values())).device
    state_dict, counts = dict(conversion.state_dict), defaultdict(Counter)
    for new in added:
        if new.name not in state_dict:
            tensor = new.make(sizes_of(new.shape, values)).to(device)
            state_dict[new.name] = tensor
            counts[new.part, f'added: {new.why}'].update(tensors=1, parameters=tensor.numel())
    return Conversion(state_dict, [*conversion.parts, *summary(counts)])


def summary(counts: Mapping[tuple[str, str], Counter]) -> list[Part]:
    """The lines of the summary, from counts by part and fate."""
    return [Part(name, c['tensors'], c['parameters'], what) for (name, what), c in counts.items()]


def fate(rule: Rule, kept: bool) -> str:
    """What became of a tensor, in words."""
    if not kept:
        return f'dropped: {rule.why}'
    return 'kept' if rule.on_request or not rule.why else f'kept: {rule.why}'


def shortened(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    rest = f' and {len(names) - MAX_NAMES} more' if len(names) > MAX_NAMES else ''
    return ', '.join(names[:MAX_NAMES]) + rest
