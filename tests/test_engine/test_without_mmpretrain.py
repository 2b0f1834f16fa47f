"""Detection and segmentation do not need the classification library."""

import subprocess
import sys

PROGRAM = """
import sys
sys.modules['mmpretrain'] = None
import mmaddp
import mmaddp.engine.runs
from mmengine.registry import DATASETS, METRICS, init_default_scope
init_default_scope('mmdet')
assert DATASETS.get('mmaddp.SeededDataset').__name__ == 'SeededDataset'
assert DATASETS.get('mmaddp.CocoDataset').__name__ == 'CocoDataset'
assert METRICS.get('mmaddp.CocoMetric').__name__ == 'CocoMetric'
try:
    METRICS.get('mmaddp.SubsetAccuracy')
except ModuleNotFoundError as error:
    assert error.name.startswith('mmpretrain')
else:
    raise AssertionError
"""


def test_the_package_and_training_import(repository):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
