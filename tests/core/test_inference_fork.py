"""Forks of a process that predicts: each process tells of its own calls, and none waits for what is not there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Script = Callable[..., "subprocess.CompletedProcess[str]"]

PRELUDE = """
import os, signal, sys, threading
from gangplank import Telemetry
from gangplank.inference import Inference
from gangplank.testing import InMemoryExporter

memory = InMemoryExporter()
telemetry = Telemetry(exporters=[memory])
inference = Inference(telemetry, "net")

def measured(function):
    return inference.measured(function, "predict", is_call=False, sizes={list: len}, is_trace=lambda _: False)

def samples():
    return memory.value("gangplank_predict_total", model="net")

def in_flight():
    return memory.value("gangplank_predict_in_flight", model="net")

def in_child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)  # whoever waits for ever is told apart from who fails
        work()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

predict = measured(lambda batch: batch)
"""

WARNING = (
    "this process was forked from the one that started the telemetry, which does not show what 'net' predicts here: "
    "give its PrometheusExporter or PrometheusModel a multiprocess_dir, or start it after the fork\n"
)


def test_a_child_begins_at_0_and_its_parent_goes_on(script: Script) -> None:
    """What the parent's threads counted is the parent's; a child that nobody shows says so, once."""
    process = script(
        PRELUDE
        + """
def work():
    print("child", samples(), in_flight(), flush=True)
    predict([1, 2])
    other = threading.Thread(target=predict, args=([1],))
    other.start()
    other.join()
    print("child", samples(), in_flight(), flush=True)

predict([1, 2, 3])
other = threading.Thread(target=predict, args=([1, 2, 3, 4],))
other.start()
other.join()
in_child(work)
print("parent", samples(), in_flight())
predict([1])
print("parent", samples())
"""
    )
    assert process.stdout == "child 0 0\nchild 3 0\nparent 7 0\nparent 8\n"
    assert process.stderr == WARNING


def test_a_call_that_forks_is_the_parents(script: Script) -> None:
    """In the child it is not in flight, though the child returns from it as well."""
    process = script(
        PRELUDE
        + """
def fork(batch):
    print("parent", in_flight(), flush=True)
    pid = os.fork()
    if pid == 0:
        print("child", samples(), in_flight(), flush=True)
    else:
        os.waitpid(pid, 0)
        print("parent", in_flight())
    return batch

parent = os.getpid()
measured(fork)([1, 2])
print("parent" if os.getpid() == parent else "child", samples(), in_flight(), flush=True)
if os.getpid() != parent:
    predict([1])
    print("child", samples(), in_flight(), flush=True)
    os._exit(0)
"""
    )
    assert process.stdout == "parent 1\nchild 0 0\nchild 0 0\nchild 1 0\nparent 1\nparent 2 0\n", process.stderr


def test_calls_that_other_threads_were_in_are_not_in_flight_in_a_child(script: Script) -> None:
    """Those threads are not there."""
    process = script(
        PRELUDE
        + """
is_in, may_end = threading.Barrier(3), threading.Event()

def hold(batch):
    is_in.wait()
    may_end.wait()
    return batch

threads = [threading.Thread(target=measured(hold), args=([1],)) for _ in range(2)]
for thread in threads:
    thread.start()
is_in.wait()
in_child(lambda: print("child", samples(), in_flight()))
print("parent", samples(), in_flight())
may_end.set()
for thread in threads:
    thread.join()
print("parent", samples(), in_flight())
"""
    )
    assert (process.stdout, process.stderr) == ("child 0 0\nparent 0 2\nparent 2 0\n", "")


def test_errors_of_the_parent_are_not_counted_in_a_child(script: Script) -> None:
    """Errors and calls are divided by one another: both begin at 0."""
    process = script(
        PRELUDE
        + """
def show(who):
    calls = memory.series("gangplank_predict_duration_seconds")
    errors = memory.series("gangplank_predict_errors_total")
    print(who, sum(value.count for _, value in calls), sum(value for _, value in errors), flush=True)

def fail(batch):
    raise LookupError

broken = measured(fail)
predict([1])
for _ in range(2):
    try:
        broken([1])
    except LookupError:
        pass
in_child(lambda: show("child"))
show("parent")
"""
    )
    assert (process.stdout, process.stderr) == ("child 0 0\nparent 3 2\n", "")


def test_a_telemetry_that_was_not_started_is_the_childs(script: Script) -> None:
    """As under a server that loads the model and then forks: each worker starts it, and shows what it predicts."""
    process = script(
        PRELUDE
        + """
def work():
    predict([1, 2])
    print("child", samples(), len(telemetry.handles))

for _ in range(2):
    in_child(work)
print("parent", samples(), len(telemetry.handles))
"""
    )
    assert (process.stdout, process.stderr) == ("child 2 1\nchild 2 1\nparent None 0\n", "")


def test_a_child_of_a_process_that_is_starting(script: Script) -> None:
    """Another thread is in the middle of it, and not there to finish: the child can predict all the same."""
    process = script(
        PRELUDE
        + """
class Slow(InMemoryExporter):
    def start(self, state, trouble):
        is_starting.set()
        may_go_on.wait()
        return super().start(state, trouble)

is_starting, may_go_on = threading.Event(), threading.Event()
telemetry = Telemetry(exporters=[Slow()])
inference = Inference(telemetry, "net")
predict = measured(lambda batch: batch)
thread = threading.Thread(target=predict, args=([1],))
thread.start()
is_starting.wait()

def work():
    may_go_on.set()
    print("child", predict([1, 2]), Inference(telemetry, "net").model)

in_child(work)
may_go_on.set()
thread.join()
print("parent", predict([3]))
"""
    )
    assert process.stdout == "child [1, 2] net_2\nparent [3]\n", process.stderr


def test_threads_that_fork_while_others_predict_and_make_models(script: Script) -> None:
    """Whichever thread holds whatever lock at the moment of a fork, parent and children go on, and count right."""
    process = script(
        PRELUDE
        + """
import logging
logging.disable()
stop, counts = threading.Event(), []

def work():
    count = 0
    while not stop.is_set():
        thread = threading.Thread(target=predict, args=([1, 2],))
        thread.start()
        thread.join()
        Inference(telemetry, "other")
        count += 1
    counts.append(count)

def check():
    Inference(telemetry, "other")
    predict([1, 2, 3])
    assert (samples(), in_flight()) == (3, 0), (samples(), in_flight())

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(40):
    in_child(check)
stop.set()
for thread in threads:
    thread.join()
print(samples() == 2 * sum(counts), in_flight(), 0 not in counts)
"""
    )
    assert (process.stdout, process.stderr) == ("True 0 True\n", "")
