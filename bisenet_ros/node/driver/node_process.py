# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node as a process of its own, with what it prints."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from typing import Any, Dict, List, Optional, Sequence

from bisenet_ros.node.driver.ros_client import DriverError

SEGMENTATION_NODE = ("-m", "bisenet_ros.node")
END_TIMEOUT = 30.0
"""Seconds that a process has to end."""
ENDING_WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG, parent, arguments = 1, int(sys.argv[1]), sys.argv[2:]
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() == parent:  # else it has ended already
    os.execv(sys.executable, [sys.executable, *arguments])
"""
"""Runs Python, which Linux sends SIGTERM when the thread that started it ends, even if its process was killed."""
QUOTED_LINES = 10
"""How many of its last lines an error quotes."""


class NodeProcess(AbstractContextManager):
    """`python -m bisenet_ros.node`, or another program; `lines` is what it printed so far, stdout and stderr."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        domain: int,
        program: Sequence[str] = SEGMENTATION_NODE,
        environment: Optional[Dict[str, str]] = None,
    ) -> None:
        """Starts `program` in Python, by default with this process's environment."""
        self.lines: List[str] = []
        ending = ("-S", "-c", ENDING_WITH_PARENT, str(os.getpid())) if sys.platform == "linux" else ()
        self._process = subprocess.Popen(
            [sys.executable, *ending, *program, *arguments],
            env={**(environment or os.environ), "ROS_DOMAIN_ID": str(domain)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __exit__(self, *exception: Any) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raises DriverError, with what it printed last, if it has ended."""
        if not self.is_running():
            self._reader.join(1)
            raise DriverError(f"the node ended with code {self._process.returncode}; it printed:\n{self.last_lines()}")

    def last_lines(self) -> str:
        return "\n".join(self.lines[-QUOTED_LINES:])

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once all it printed is in `lines`; DriverError if it does not end and must be killed."""
        try:
            code = self._process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise DriverError(f"the node did not end within {END_TIMEOUT:.0f} s and was killed") from None
        self._reader.join(END_TIMEOUT)
        return code

    def interrupt(self) -> int:
        """Ends it as Ctrl-C does; the exit code."""
        self.send(signal.SIGINT)
        return self.wait()

    def close(self) -> None:
        """Ends it if it still runs; killed, it would leave its shared memory behind."""
        self._process.terminate()
        self.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
