"""Operators for an mmcv that was installed without its compiled ones.

mmcv's modules load their operators from ``mmcv._ext``. Where Python does not find that extension,
``stand_in`` makes it find ``mmcv_ext.py`` of this package. An mmcv with operators is used as it is.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

from mmaddp.utils import UserError

# Each imports mmcv.ops, or goes on without operators if that fails.
IMPORTERS = ('mmdet.structures', 'mmseg.utils')


class ExtensionFinder(MetaPathFinder):
    """Find this package's operators under the name of mmcv's extension."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec:
        """Answer for ``mmcv._ext`` alone."""
        if fullname == 'mmcv._ext':
            return spec_from_file_location(fullname, Path(__file__).with_name('mmcv_ext.py'))


def stand_in() -> None:
    """Let ``mmcv._ext`` be found where mmcv has none. Imports neither mmcv nor torch.

    Raises:
        UserError: mmdet or mmseg is already imported, and found no operators.
    """
    late = [name for name in IMPORTERS if name in sys.modules and 'mmcv.ops' not in sys.modules]
    if late:
        raise UserError(
            f'{late[0]} was imported before mmaddp and found no operators in mmcv: '
            'restart Python and import mmaddp first'
        )
    # Last, so that a compiled extension is found before this one.
    sys.meta_path.append(ExtensionFinder())
