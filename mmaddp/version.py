"""The package's version, read by ``pyproject.toml`` and written into converted checkpoints."""

__version__ = '0.1.0'
