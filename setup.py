"""What pyproject.toml cannot say: configs and tools go into the wheel, where openmim looks."""

from pathlib import Path
from shutil import copy, copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithConfigs(build_py):
    """Adds ``mmaddp/.mim``. An editable installation has its files in the checkout."""

    def run(self) -> None:
        """Build the package, then copy what belongs to it."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / 'mmaddp/.mim'
        for name in ('configs', 'tools'):
            ignored = ignore_patterns('__pycache__', '*.pyc')
            copytree(ROOT / name, target / name, dirs_exist_ok=True, ignore=ignored)
        copy(ROOT / 'model-index.yml', target)


setup(cmdclass={'build_py': BuildWithConfigs})
