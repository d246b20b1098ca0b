"""The faults by name, in their order, with what is done."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep

from attrs import frozen

from benchmarks.faults import clock, floods, many, naming, processes, services, stores
from benchmarks.faults.scene import Scene, Watch


@frozen
class Fault:
    """``done`` says what is done, ``bring`` does it."""

    done: str
    bring: Callable[[Scene], Watch]


def none(scene: Scene) -> Watch:
    """The load alone, for comparison."""
    gateway = scene.gateway(scene.ini())
    with scene.watched(gateway) as watch:
        sleep(scene.seconds)
        watch.over()
    return watch


FAULTS = {
    "none": Fault("nothing", none),
    "service-killed": Fault("a peer gets SIGKILL, and is started again", services.killed),
    "service-hung": Fault("a peer gets SIGSTOP, then SIGCONT", services.hung),
    "service-slow": Fault("a peer takes 3 s for each answer", services.slow),
    "service-resetting": Fault("a peer resets its connections instead of answering", services.resetting),
    "service-garbage": Fault("a peer answers with what is no HTTP", services.garbage),
    "service-endless-head": Fault("a peer sends heads without end", services.endless_head),
    "service-endless-body": Fault("a service sends bodies without end to 20 clients", services.endless_body),
    "redis-killed": Fault("the Redis server of the limits gets SIGKILL, and is started again", stores.killed),
    "redis-hung": Fault("the Redis server of the limits gets SIGSTOP, then SIGCONT", stores.hung),
    "dns-fails": Fault("the name server answers SERVFAIL, then nothing, then another address", naming.fails),
    "worker-killed": Fault("one of two workers gets SIGKILL", processes.worker_killed),
    "supervisor-killed": Fault("the supervisor of two workers gets SIGKILL", processes.supervisor_killed),
    "certificate-broken": Fault("reloads while the certificate is cut in half", processes.certificate_broken),
    "disk-full": Fault("the access log is written to /dev/full", processes.disk_full),
    "descriptors": Fault("clients come until none of 256 descriptors is left", processes.descriptors_run_out),
    "clock-jumps": Fault("the time of day is an hour ahead, then an hour behind, then right", clock.jumps),
    "flood-garbage": Fault("clients send 64 KiB of garbage, over and over", floods.garbage),
    "flood-slow-head": Fault("100 clients send a head by the byte", floods.slow_head),
    "flood-slow-body": Fault("100 clients announce a body and send nothing", floods.slow_body),
    "flood-slow-reader": Fault("100 clients ask for bodies without end and read nothing", floods.slow_reader),
    "flood-idle": Fault("many clients ask once and stay", floods.idle),
    "limit-keys": Fault("clients bring 200,000 new keys of limits", many.keys),
    "reload-routes": Fault("a reload takes up 5,000 more routes, and another drops them", many.routes),
    "reload-often": Fault(
        "100 reloads under 2,000 requests a second, every other with 1,000 routes more", many.reloads
    ),
    "http2-rapid-reset": Fault("clients reset 2,000 requests a connection, over and over", floods.rapid_reset),
    "http2-continuation": Fault("clients send 20,000 CONTINUATION frames, over and over", floods.continuation),
}
