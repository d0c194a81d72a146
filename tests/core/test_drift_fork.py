"""Forks of a process that tests for drift: what waits is the parent's, and a child neither hangs nor tests it again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_forked_child_has_a_queue_of_its_own(script: Script) -> None:
    """What waited is its parent's to test, and the thread that would is not in the child."""
    process = script(
        """
        import os, threading
        from gangplank.drift.monitor import Monitor

        class Heard(list):
            def tested(self, samples, drift): self.append(("tested", samples))
            def dropped(self, samples): self.append(("dropped", samples))
            def failed(self, samples, error): self.append(("failed", samples))

        at_work, may_go_on, parent, heard = threading.Event(), threading.Event(), os.getpid(), Heard()

        def detect(x, y):
            at_work.set()
            if os.getpid() == parent:
                may_go_on.wait()

        monitor = Monitor(detect, heard)
        for samples in (1, 2):
            monitor.submit(samples, 1, lambda: ("x", "y"))
        at_work.wait()
        pid = os.fork()
        if pid == 0:
            monitor.drain(30)  # nothing: none of it is its own
            monitor.submit(3, 1, lambda: ("x", "y"))
            monitor.drain(30)
            del monitor
            os._exit(7 if heard == [("tested", 3)] else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), heard)
        may_go_on.set()
        monitor.drain(30)
        print(heard)
        """
    )
    assert (process.stdout, process.stderr) == ("7 []\n[('tested', 1), ('tested', 2)]\n", "")


def test_a_forked_child_waits_for_no_thread_of_its_parent(script: Script) -> None:
    """One may have been in the middle of taking a batch, and hold a lock that nobody in the child will let go of."""
    process = script(
        """
        import gc, os, signal, threading
        from gangplank.drift.monitor import Monitor

        class Deaf:
            def tested(self, samples, drift): pass
            dropped = failed = tested

        monitor = Monitor(lambda x, y: None, Deaf())
        monitor.submit(1, 1, lambda: ("x", "y"))
        is_held, may_end = threading.Event(), threading.Event()

        def hold():
            with monitor._queue._changed:
                is_held.set()
                may_end.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        is_held.wait()
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            monitor.drain(30)
            monitor.submit(1, 1, lambda: ("x", "y"))
            monitor.drain(30)
            del monitor
            gc.collect()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        may_end.set()
        """
    )
    assert (process.stdout, process.stderr) == ("7\n", "")


def test_a_child_of_a_process_that_flushes(script: Script) -> None:
    """A drain in the child waits for nothing of the parent's, however long that takes."""
    process = script(
        """
        import os, threading
        from gangplank import Telemetry
        from gangplank.drift.monitor import Monitor
        from gangplank.drift_series import DriftSeries
        from gangplank.testing import InMemoryExporter

        at_work, may_go_on, memory = threading.Event(), threading.Event(), InMemoryExporter()

        def detect(x, y):
            at_work.set()
            may_go_on.wait()

        def samples():
            return {labels["result"]: count for labels, count in memory.series("gangplank_predict_drift_samples_total")}

        telemetry = Telemetry(exporters=[memory])
        telemetry.start()
        monitor = Monitor(detect, DriftSeries(telemetry, "net"))
        telemetry.on_delivery(monitor.drain)
        for count in (1, 2):
            monitor.submit(count, 1, lambda: ("x", "y"))
        at_work.wait()
        pid = os.fork()
        if pid == 0:
            telemetry.flush(timeout=3600)
            telemetry.close(timeout=3600)
            os._exit(7 if set(samples().values()) == {0} else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        may_go_on.set()
        telemetry.close()
        print(samples())
        """
    )
    assert (process.stdout, process.stderr) == ("7\n{'tested': 3, 'dropped': 0, 'failed': 0}\n", "")
