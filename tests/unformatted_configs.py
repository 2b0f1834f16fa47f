"""MMEngine formats the config of every run with yapf, which takes longer than a toy training."""

from yapf.yapflib import yapf_api

yapf_api.FormatCode = lambda text, **_: (text, True)
