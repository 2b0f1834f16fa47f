"""Layouts of published files: tables from their names to ours.

A :class:`Source` is a layout: the names that tell it, and for each target a table of rules. A file
belongs to the first source whose names it has, and a tensor to the first rule that its name fits.
Rules say nothing about shapes, which the module that is filled knows.

A package outside adds a layout with :func:`register_source`::

    register_source(
        Source(
            'dinov2',
            marks=[{'blocks.0.norm1.weight', 'blocks.0.ls1.gamma', 'mask_token'}],
            tables={
                'backbone': [
                    drop('mask_token', 'decoder', 'only pre-training masks'),
                    keep('{rest}'),
                ]
            },
        )
    )

Its module must have been imported: name it in ``custom_imports``, or in an entry point of the group
``mmaddp.plugins``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from string import Formatter
from typing import Callable, Union

import torch
from torch import Tensor

from mmaddp.utils import UserError, listed

# Raised whenever a table gives another result for some file; stands in every converted file.
RULES_VERSION = 2

PARTS = ('tokenizer', 'token_predictor', 'decoder')
TARGETS = ('backbone', 'detector', 'pretrain', *PARTS, 'official')

MAX_NAMES = 6


@dataclass(frozen=True)
class Rule:
    """What becomes of the tensors whose names fit a pattern.

    Args:
        source: Name in the file. A field of one letter, ``{i}``, stands for an index; a longer one,
            ``{rest}``, for any text.
        targets: Names here, with the same fields; none drops the tensor.
        part: Part of the network, a row of the summary.
        why: Why the tensor is dropped or refused. With targets, why it is dropped where the module
            has no place for it; without a reason that is an error.
        note: What the transform does.
        refused: The tensor shows that the file holds a network which is not supported.
        transform: Applied to the tensor.
        piece: Number of this piece of its target; pieces are stacked along the first axis.
    """

    source: str
    targets: tuple[str, ...] = ()
    part: str = ''
    why: str = ''
    note: str = ''
    refused: bool = False
    transform: Callable[[Tensor], Tensor] | None = None
    piece: int | None = None


def keep(source: str, target: str = '', part: str = 'encoder', **options: object) -> Rule:
    """A tensor that is kept, under the same name when no ``target`` is given."""
    return Rule(source, (target or source,), part, **options)


def drop(source: str, part: str, why: str) -> Rule:
    """A tensor that has no place in the target."""
    return Rule(source, part=part, why=why)


def refuse(source: str, why: str) -> Rule:
    """A tensor whose presence means that the file cannot be converted."""
    return Rule(source, why=why, refused=True)


Tensors = Mapping[str, Tensor]
Table = Union[Sequence[Rule], Callable[[Tensors], Sequence[Rule]]]


@dataclass(frozen=True)
class Source:
    """A layout of files.

    Args:
        name: What the user calls it.
        marks: Sets of names; a file with all names of one set is in this layout. A mark that ends
            in a dot stands for any name that begins with it. Or a function of the tensors.
        tables: For each target its rules, or a function that gives them for a file's tensors.
        absent: Names, or beginnings of names, that tell another layout.
        needs: Beginnings of names that a file must have, each with the error where it has none.
        whole: The target as which a file fills a whole model, and a name that tells such a model.
        holds: The part, 'backbone' or another, that a file fills where it is no whole model.
        heads: Configs of modules by their paths in a detector, given its tensors in our names.
        any_network: A network that no class of ours describes is kept as it is.
        added: What the target 'official' has beyond the rules: name, tensor, part and fate.
        license: Terms of the published weights, as far as the layout tells; '' for one's own.
    """

    name: str
    marks: Sequence[Collection[str]] | Callable[[Tensors], bool]
    tables: Mapping[str, Table]
    absent: Collection[str] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    whole: tuple[str, str] | None = None
    holds: str = ''
    heads: Callable[[Tensors], dict[str, dict]] | None = None
    any_network: bool = False
    added: Callable[[Tensors], Iterator[tuple[str, Tensor, str, str]]] | None = None
    license: str = 'as the authors of the file say'

    def recognize(self, tensors: Tensors) -> bool:
        """Whether a file with these tensors is in this layout."""

        def has(mark: str) -> bool:
            return mark in tensors or (mark[-1] == '.' and any(k.startswith(mark) for k in tensors))

        if callable(self.marks):
            return self.marks(tensors)
        return any(all(map(has, marks)) for marks in self.marks) and not any(map(has, self.absent))

    @property
    def looks_like(self) -> str:
        """Names that tell the layout, for messages."""
        return 'our names' if callable(self.marks) else ' and '.join(sorted(self.marks[0]))

    def table(self, target: str, tensors: Tensors) -> Sequence[Rule]:
        """The rules of a target for a file with these tensors.

        Raises:
            UserError: The target cannot be made from this file.
        """
        # A file of this layout may still lack what the target is made from.
        for beginning, error in self.needs.items():
            if not any(key.startswith(beginning) for key in tensors):
                raise UserError(error)
        table = self.tables[target]
        return table(tensors) if callable(table) else table


SOURCES: dict[str, Source] = {}


def register_source(source: Source) -> Source:
    """Add a layout. The newest is tried first, so that an outside one may be more specific."""
    others = {name: other for name, other in SOURCES.items() if name != source.name}
    SOURCES.clear()
    SOURCES.update({source.name: source, **others})
    return source


@dataclass
class Renamed:
    """A file's tensors in our names.

    Attributes:
        tensors: The file's tensors in its own names.
        rules: The table.
        used: For each name of the file its rule, and its name here where it is kept.
        state: The tensors in our names.
        origins: For each name here its name in the file.
        spare: Why a tensor may be dropped where the module has no place for it.
        complaints: Names of the file by what is wrong with them.
    """

    tensors: Tensors
    rules: Sequence[Rule]
    used: dict[str, tuple[Rule, str]] = field(default_factory=dict)
    state: dict[str, Tensor] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    spare: dict[str, str] = field(default_factory=dict)
    pieces: dict[str, dict[int, Tensor]] = field(default_factory=lambda: defaultdict(dict))
    complaints: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, key: str, rule: Rule, fields: Mapping[str, str]) -> None:
        """Apply a rule to the tensor of the file that is called ``key``."""
        # 'blocks.{i}.norm' with i = 3 becomes 'blocks.3.norm'.
        names = [target.format(**fields) for target in rule.targets]
        if rule.refused:
            self.complaints['not a plain ViT, mmaddp.Encoder takes it'].append(f'{key}: {rule.why}')
        self.used[key] = (rule, names[0] if names else '')
        tensor = self.tensors[key]
        tensor = rule.transform(tensor) if names and rule.transform else tensor
        for number, name in enumerate(names):
            self.origins.setdefault(name, key)
            if rule.why:
                self.spare[name] = rule.why
            # Copies, such as the mask heads of a cascade, are trained apart.
            if rule.piece is None:
                self.state[name] = tensor.clone() if number else tensor
            else:
                self.pieces[name][rule.piece] = tensor

    def stack(self) -> None:
        """Stack the pieces of each target."""
        for name, pieces in self.pieces.items():
            wanted = {rule.piece: key for rule, key in self.sources(name)}
            lacking = [key for number, key in wanted.items() if number not in pieces]
            # torch.cat would give a smaller tensor without a word.
            self.complaints['missing'] += lacking
            self.state[name] = torch.cat([pieces[number] for number in sorted(pieces)])

    def sources(self, name: str) -> Iterator[tuple[Rule, str]]:
        """The rules that would fill a name of ours, each with the name in the file."""
        for rule in self.rules:
            for target in rule.targets:
                # The rule backward: from a name here to the one in the file.
                found = compile_pattern(target).fullmatch(name)
                if found:
                    yield rule, rule.source.format(**found.groupdict())

    def in_file(self, name: str) -> str:
        """What the file calls a tensor of ours, or would call it."""
        return self.origins.get(name) or next((key for _, key in self.sources(name)), name)

    def summary(self, fates: Mapping[str, str]) -> list[Part]:
        """What became of every tensor of the file, given what became of those that were kept."""
        counts: dict[tuple[str, str], Counter] = defaultdict(Counter)
        for key, (rule, name) in self.used.items():
            fate = fates[name] if name else f'dropped: {rule.why}'
            # What a transform did matters only where the result was used.
            fate += f': {rule.note}' if rule.note and fate == 'kept' else ''
            part = rule.part or key.partition('.')[0]
            counts[part, fate].update(tensors=1, parameters=self.tensors[key].numel())
        return [
            Part(name, c['tensors'], c['parameters'], fate) for (name, fate), c in counts.items()
        ]


@dataclass(frozen=True)
class Part:
    """A row of the summary: tensors of one part of the network with the same fate."""

    name: str
    tensors: int
    parameters: int
    fate: str


def rename(tensors: Tensors, rules: Sequence[Rule]) -> Renamed:
    """Apply a table to a file's tensors."""
    renamed = Renamed(tensors, rules)
    # The first rule that fits wins, so tables go from special names to general ones.
    patterns = [(compile_pattern(rule.source), rule) for rule in rules]
    for key in tensors:
        for pattern, rule in patterns:
            found = pattern.fullmatch(key)
            if found:
                renamed.add(key, rule, found.groupdict())
                break
        else:
            renamed.complaints['left over'].append(key)
    renamed.stack()
    return renamed


@cache
def compile_pattern(text: str) -> re.Pattern:
    """A rule's name as a regular expression; indices have no leading zeros."""
    expression, seen = '', set()
    for literal, name, _, _ in Formatter().parse(text):
        expression += re.escape(literal)
        # A field that comes again stands for the same text.
        if name in seen:
            expression += f'(?P={name})'
        elif name:
            # With leading zeros two names would become one.
            expression += f'(?P<{name}>{"0|[1-9][0-9]*" if len(name) == 1 else ".+"})'
            seen.add(name)
    return re.compile(expression)


def under(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {key[len(prefix) :]: t for key, t in tensors.items() if key.startswith(prefix)}


def part_of(rules: Sequence[Rule], part: str) -> list[Rule]:
    """The rules of one part of a model, under its bare names; the other parts are dropped."""
    prefix, result = f'{part}.', []
    for rule in rules:
        # A rule may fill several parts, and remains for the targets inside this one.
        inside = tuple(t[len(prefix) :] for t in rule.targets if t.startswith(prefix))
        why = rule.why or ('' if inside else f'not part of the {part}')
        result.append(replace(rule, targets=inside, why=why))
    return result


def shortened(names: Sequence[str], most: int = MAX_NAMES) -> str:
    """The first names, and how many more there are."""
    return listed(names, most)
