"""Two hundred clients that push to one real gateway every second for a minute."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from realservers import Gateway

SCRIPT = Path(__file__).parent / "scripts" / "crowd.py"
CLIENTS, PROCESSES, SECONDS = 200, 4, 60
MEBI = 2**20


def _crowd(gateway: Gateway) -> list[dict[str, Any]]:
    """Run the clients, all from one moment on, and return what each process has to say."""
    share = CLIENTS // PROCESSES
    processes = []
    for number in range(PROCESSES):
        command = [sys.executable, str(SCRIPT), gateway.address, str(number * share), str(share), str(SECONDS)]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "READY\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        reports = [json.loads(process.communicate(timeout=SECONDS + 120)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return reports


def test_a_crowd(gateway: Gateway) -> None:
    """Everyone's last state is there, nobody's memory grew, and they did not all begin at once."""
    reports = _crowd(gateway)
    final = {
        int(labels["client"]): value
        for labels, value in gateway.series("gangplank_train_loss", job="crowd", model="net")
    }
    assert final == {client: client + (SECONDS - 1) / 1000 for client in range(CLIENTS)}
    epochs = gateway.series("gangplank_train_epochs_count", job="crowd")
    assert [value for _, value in epochs] == [SECONDS] * CLIENTS
    assert sum(value for _, value in gateway.series("gangplank_train_outcome", outcome="success")) == CLIENTS
    assert sum(value for _, value in gateway.series("gangplank_train_running")) == 0
    lasting = gateway.series("gangplank_train_last_success_timestamp_seconds", job="crowd")
    assert len({labels["client"] for labels, _ in lasting}) == CLIENTS
    for report in reports:
        assert report["end"] - report["warm"] < 16 * MEBI, report
        firsts = report["first"]
        assert len(firsts) == CLIENTS // PROCESSES
        assert firsts[len(firsts) * 9 // 10] - firsts[len(firsts) // 10] > 0.2, firsts
