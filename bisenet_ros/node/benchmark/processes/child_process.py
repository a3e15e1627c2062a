"""The benchmark's processes, seen from the one that starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional, Sequence

from bisenet_ros.node.fastdds import THIS_MACHINE, free_domain, shared_memory_environment

LINES_KEPT = 50
ENDING = 15.0
"""Seconds that a process has to end."""


class ProcessError(ValueError):
    """A process of the benchmark ended or said that something is wrong."""


def private_environment() -> Dict[str, str]:
    """A ROS domain of this run's own, on this machine alone, with the shared-memory profile."""
    return {
        **os.environ,
        **shared_memory_environment(),
        "ROS_DOMAIN_ID": str(free_domain()),
        **THIS_MACHINE,
    }


class ChildProcess:
    """`python -m MODULE` with its messages handed on, and what else it prints kept.

    Args:
        hear: gets each message, from a thread.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        environment: Dict[str, str],
        hear: Optional[Callable[[Dict[str, Any]], None]] = None,
    ) -> None:
        self.name = name
        self._hear = hear
        self.lines: Deque[str] = deque(maxlen=LINES_KEPT)
        self.ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name=name, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises ProcessError, with what it printed last, if it has ended."""
        if self._process.poll() is not None:
            self._reader.join(1)
            raise ProcessError(
                f"the {self.name} ended with exit code {self._process.returncode}; it said:\n" + "\n".join(self.lines)
            )

    def command(self, **message: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._process.wait(ENDING)
            self.check()

    def interrupt(self) -> int:
        """Ends it as Ctrl-C does; returns its exit code.

        Raises:
            ProcessError: it does not end.
        """
        self._process.send_signal(signal.SIGINT)
        return self._wait()

    def close(self) -> None:
        """Ends it by the end of its input, at once if it has none to read."""
        if self._process.poll() is None and self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._wait()
        finally:
            self._reader.join(1)

    def _wait(self) -> int:
        try:
            return self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ProcessError(f"the {self.name} did not end within {ENDING:.0f} s and was killed") from None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = _parse(line)
            if message is None:
                self.lines.append(line.rstrip("\n"))
            elif message.pop("ready", False):
                self.ready.set()
            elif self._hear is not None:
                self._hear(message)


def _parse(line: str) -> Optional[Dict[str, Any]]:
    """None for what is no message: logs, and what Fast DDS prints."""
    if not line.startswith("{"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None
