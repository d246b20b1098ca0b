"""Writes metrics as Prometheus' text, a slice at a time, so that a large scrape doesn't hold up the requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

SLICE = 0.002
"""Seconds of work between two rests: a fifth of what would be felt."""

LOOK = 50
"""Lines between two looks at the clock."""


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _line(sample: Sample) -> str:
    labels = ",".join([f'{name}="{_label(value)}"' for name, value in sample.labels.items()])
    value = sample.value
    text = str(int(value)) if -1e15 < value < 1e15 and value == int(value) else floatToGoString(value)
    return f"{sample.name}{{{labels}}} {text}\n" if labels else f"{sample.name} {text}\n"


def lines(registry: CollectorRegistry) -> Iterator[str]:
    """
    The text of all metrics, line by line, each family with its HELP and TYPE before it.

    Source: Prometheus, "Exposition formats", text format 0.0.4. What that format can't hold, ``_created`` samples and
    exemplars, is left out.
    """
    for metric in registry.collect():
        counter = metric.type == "counter"
        name = f"{metric.name}_total" if counter else f"{metric.name}_info" if metric.type == "info" else metric.name
        kind = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}.get(metric.type, metric.type)
        yield f"# HELP {name} {_help(metric.documentation)}\n# TYPE {name} {kind}\n"
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                yield _line(sample)


def slices(registry: CollectorRegistry, seconds: Callable[[], float]) -> Iterator[bytes]:
    """:return: parts of the text, each made in :data:`SLICE` seconds or little more."""
    part: list[str] = []
    until = seconds() + SLICE
    for line in lines(registry):
        part.append(line)
        if len(part) % LOOK == 0 and seconds() >= until:
            yield "".join(part).encode()
            part.clear()
            until = seconds() + SLICE
    yield "".join(part).encode()
