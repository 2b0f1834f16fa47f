"""Published checkpoints in this package's names: a table of names for each layout, one judge."""

from .convert import (
    Loadable,
    check_meta,
    convert_checkpoint,
    meta_of,
    read_model_checkpoint,
    read_part,
    recognize_source,
)
from .files import ConversionReport, convert_file, summary_table
from .judge import WeightRules, fit
from .reader import map_checkpoint, read_checkpoint
from .rules import PARTS, RULES_VERSION, TARGETS, Source, drop, keep, refuse
from .sources import SOURCES, register_source

__all__ = [
    'PARTS',
    'RULES_VERSION',
    'SOURCES',
    'TARGETS',
    'ConversionReport',
    'Loadable',
    'Source',
    'WeightRules',
    'check_meta',
    'convert_checkpoint',
    'convert_file',
    'drop',
    'fit',
    'keep',
    'map_checkpoint',
    'meta_of',
    'read_checkpoint',
    'read_model_checkpoint',
    'read_part',
    'recognize_source',
    'refuse',
    'register_source',
    'summary_table',
]
