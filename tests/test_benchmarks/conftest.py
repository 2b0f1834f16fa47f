import pytest
from scripts import load_script


@pytest.fixture
def load_benchmark(repository, monkeypatch):
    """A benchmark as a module; its neighbors are importable as when it is run."""
    monkeypatch.syspath_prepend(str(repository / 'benchmarks'))
    return lambda name: load_script(repository / f'benchmarks/{name}.py')
