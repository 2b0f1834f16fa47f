"""Child registries of MMEngine's roots, in scope ``mmaddp``.

Whatever is registered here is found by its bare name from inside the package and as
``mmaddp.Name`` from a config whose ``default_scope`` is another library's. A registry imports the
module of a name when the name is asked for, so that a classifier never imports MMDetection.
"""

from __future__ import annotations

from importlib import import_module

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import Registry


class LazyRegistry(Registry):
    """A registry of classes that packages export, which it imports one by one.

    MMEngine's registry imports all of its ``locations`` at the first lookup.

    Args:
        parent: The root.
        packages: Packages that export the classes by name.
    """

    def __init__(self, parent: Registry, *packages: str) -> None:
        super().__init__(parent.name, parent=parent, scope='mmaddp')
        self.packages = packages

    def get(self, key: str) -> type | None:
        """The class of a name, as MMEngine's registry has it."""
        scope, name = self.split_scope_key(key)
        if scope in (None, self.scope) and name not in self.module_dict:
            for package in self.packages:
                getattr(import_module(package), name, None)
        return super().get(key)

    def names(self) -> set[str]:
        """All names that may be asked for, imported or not."""
        exports = (import_module(package).__all__ for package in self.packages)
        return set(self.module_dict).union(*exports)


MODELS = LazyRegistry(MMENGINE_MODELS, 'mmaddp.models')
TASK_UTILS = LazyRegistry(MMENGINE_TASK_UTILS, 'mmaddp.diffusion')
DATASETS = LazyRegistry(MMENGINE_DATASETS, 'mmaddp.datasets', 'mmaddp.engine')
TRANSFORMS = LazyRegistry(MMENGINE_TRANSFORMS, 'mmaddp.datasets')
METRICS = LazyRegistry(MMENGINE_METRICS, 'mmaddp.evaluation')
HOOKS = LazyRegistry(MMENGINE_HOOKS, 'mmaddp.engine')
LOOPS = LazyRegistry(MMENGINE_LOOPS, 'mmaddp.engine')
RUNNERS = LazyRegistry(MMENGINE_RUNNERS, 'mmaddp.engine')
STRATEGIES = LazyRegistry(MMENGINE_STRATEGIES, 'mmaddp.engine')
DATA_SAMPLERS = LazyRegistry(MMENGINE_DATA_SAMPLERS, 'mmaddp.engine')
OPTIM_WRAPPERS = LazyRegistry(MMENGINE_OPTIM_WRAPPERS, 'mmaddp.engine')
VISBACKENDS = LazyRegistry(MMENGINE_VISBACKENDS, 'mmaddp.engine')
OPTIM_WRAPPER_CONSTRUCTORS = LazyRegistry(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, 'mmaddp.engine')
