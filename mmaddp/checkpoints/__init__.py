"""Published checkpoints into this package's names: a table of rules for each source, one engine."""

from .convert import convert_checkpoint, recognize_source
from .files import ConversionReport, convert_file, read_part, summary_table
from .reader import map_checkpoint, read_checkpoint
from .rules import PARTS, RULES_VERSION, TARGETS
from .sources import SOURCES
from .whole_model import read_model_checkpoint

__all__ = [
    'PARTS',
    'RULES_VERSION',
    'SOURCES',
    'TARGETS',
    'ConversionReport',
    'convert_checkpoint',
    'convert_file',
    'map_checkpoint',
    'read_checkpoint',
    'read_model_checkpoint',
    'read_part',
    'recognize_source',
    'summary_table',
]
