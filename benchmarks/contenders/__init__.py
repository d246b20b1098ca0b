"""The table of contenders: every module here that has a ``CONTENDER`` or ``CONTENDERS`` is in it."""

import importlib
import pkgutil

from benchmarks.contender import Contender

REFERENCE = "nginx"  # what every ratio is to
GATEWAY = "gateway"  # what all this is about
INTERPRETED = "gateway-interpreted"  # the same, not compiled: a profiler sees into it
DIRECT = "direct"  # what every latency is compared to


def table() -> dict[str, Contender]:
    """All contenders by name, those too that this machine can't run; the reference first."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    contenders: list[Contender] = [module.CONTENDER for module in modules if hasattr(module, "CONTENDER")]
    contenders += [each for module in modules for each in getattr(module, "CONTENDERS", ())]
    contenders.sort(key=lambda each: (each.name != REFERENCE, each.name))
    return {each.name: each for each in contenders}
