"""Child registries of MMEngine's roots, in scope ``mmaddp``.

Whatever is registered here is found by its bare name from inside the package and as
``mmaddp.Name`` from a config whose ``default_scope`` is another library's.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry


def _child(parent: Registry, *locations: str) -> Registry:
    return Registry(parent.name, parent=parent, scope='mmaddp', locations=list(locations))


MODELS = _child(MMENGINE_MODELS, 'mmaddp.models')
TASK_UTILS = _child(MMENGINE_TASK_UTILS, 'mmaddp.diffusion')
# The package itself imports as much of these as the libraries that are installed allow.
DATASETS = _child(MMENGINE_DATASETS, 'mmaddp')
TRANSFORMS = _child(MMENGINE_TRANSFORMS, 'mmaddp')
METRICS = _child(MMENGINE_METRICS, 'mmaddp')
HOOKS = _child(MMENGINE_HOOKS, 'mmaddp.engine')
LOOPS = _child(MMENGINE_LOOPS, 'mmaddp.engine')
RUNNERS = _child(MMENGINE_RUNNERS, 'mmaddp.engine')
STRATEGIES = _child(MMENGINE_STRATEGIES, 'mmaddp.engine')
DATA_SAMPLERS = _child(MMENGINE_DATA_SAMPLERS, 'mmaddp.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, 'mmaddp.engine')
