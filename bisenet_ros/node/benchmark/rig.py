"""Cameras, pipelines and a listener, each a process; one pipeline at a time has frames, and all is accounted for."""

from __future__ import annotations

import importlib.util
import threading
import time
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Sequence, Type

from bisenet_ros.node.benchmark.node_account import Statuses, difference, is_at_rest
from bisenet_ros.node.benchmark.processes.child_process import ChildProcess, ProcessError, private_environment
from bisenet_ros.node.benchmark.segment import Segment
from bisenet_ros.node.benchmark.setup import Setup

PROCESSES = "bisenet_ros.node.benchmark.processes"
MODULES = {"echo": f"{PROCESSES}.echo_pipeline", "plain": f"{PROCESSES}.plain_pipeline"}
PIPELINES = ("node", *MODULES)
DIAGNOSTICS_RATE = 4.0
STARTING = 120.0
"""Seconds for a process to load what it needs and to answer its first frame."""
BUILDING = 1800.0
"""The same for the node, which may build a TensorRT plan first."""
WARM_UP_RATE, WARM_UP = 5.0, 1.0
DRAINING = 5.0
"""Seconds after the last frame in which answers still count."""
QUIET = 1.0
"""Seconds without an arrival after which none is waited for."""
ANSWERING = 10.0
"""Seconds for the node to tell what it counted."""


def require_packages(*packages: str) -> None:
    """Raises ValueError where one is missing, with the command to install it."""
    cures = {"rclpy": "source your ROS 2, or install its wheels with `pip install '.[ros]'`"}
    for package in packages:
        if importlib.util.find_spec(package) is None:
            cure = cures.get(package, "install what the benchmark needs with `pip install '.[benchmark]'`")
            raise ValueError(
                f"`bisenet benchmark node` needs the Python package {package!r}, which is not installed; {cure}"
            )


class Rig:
    """Use it in a `with` block: it ends its processes.

    Args:
        pipelines: some of PIPELINES.

    Raises:
        ProcessError: a process could not start, or ended.
    """

    def __init__(self, setup: Setup, pipelines: Sequence[str]) -> None:
        self.setup = setup
        self.pipelines = tuple(pipelines)
        self._lock = threading.Lock()
        self._segment = Segment(pipeline="", rate=0.0, outputs=())
        self._statuses: Dict[str, Dict[str, str]] = {}
        self._statuses_heard = 0
        self._counted: Optional[Statuses] = None  # what the node had counted after its last segment
        self._done = threading.Event()
        self._error = ""
        self._trouble = ""
        self._last_arrival = 0.0
        self.processes: Dict[str, ChildProcess] = {}

    def __enter__(self) -> Rig:
        environment = private_environment()

        def start(name: str, module: str, arguments: Sequence[str], hear: Any = None) -> None:
            self.processes[name] = ChildProcess(name, module, arguments, environment=environment, hear=hear)

        setup = self.setup.to_json()
        try:
            start("cameras", f"{PROCESSES}.camera_drivers", [setup, *self.pipelines], self._hear)
            start("listener", f"{PROCESSES}.listener", [setup, *self.pipelines], self._hear)
            for name in self.pipelines:
                if name == "node":
                    module = f"{PROCESSES}.stub_node" if self.setup.engine == "stub" else "bisenet_ros.node"
                    start(name, module, self.setup.node_arguments(diagnostics_rate=DIAGNOSTICS_RATE))
                else:
                    start(name, MODULES[name], [setup])
            for name, process in self.processes.items():
                if name != "node":
                    self._wait_for(process.ready.is_set, STARTING, f"the {name} to start")
            for name in self.pipelines:
                self._warm_up(name)
        except BaseException:
            self._end(quietly=True)
            raise
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._end(quietly=error is not None)

    def run(self, pipeline: str, *, rate: float, seconds: float) -> Segment:
        """Lets the cameras of one pipeline send, waits for the last answers, and returns what happened."""
        before = self._counted
        if pipeline == "node" and before is None:
            before = self._statuses_at_rest()
        self.start(pipeline, rate=rate, seconds=seconds)
        start, processor = time.monotonic(), self._processor_times()
        self._wait_for(self._done.is_set, seconds + STARTING, "the cameras to end")
        segment = self._segment
        segment.seconds = time.monotonic() - start
        segment.processor = {
            name: used - processor[name]
            for name, used in self._processor_times().items()
            if name in ("cameras", pipeline, "listener")
        }
        self._drain()
        if pipeline == "node" and before is not None:
            self._counted = self._statuses_at_rest()
            segment.node = difference(before, self._counted)
        return segment

    def start(self, pipeline: str, *, rate: float, seconds: float) -> Segment:
        """The same without waiting: the segment fills while the cameras send."""
        outputs = self.setup.outputs_of(pipeline)
        with self._lock:
            self._segment = Segment(pipeline=pipeline, rate=rate, outputs=outputs)
            self._done.clear()
        self.processes["cameras"].command(pipeline=pipeline, rate=rate, seconds=seconds)
        return self._segment

    def interrupt(self, name: str) -> int:
        """Ends one process as Ctrl-C does, whatever it is doing; returns its exit code."""
        return self.processes.pop(name).interrupt()

    def statuses(self) -> Statuses:
        """What the node said of itself last."""
        with self._lock:
            return dict(self._statuses)

    def check(self) -> None:
        """Raises ProcessError where something went wrong since."""
        if self._error or self._trouble:
            raise ProcessError(self._error or f"the node cannot run: {self._trouble}")
        for process in self.processes.values():
            process.check()

    def _warm_up(self, pipeline: str) -> None:
        """Sends until every camera is answered on every topic: all have found each other."""
        asked = {(camera, output) for camera in self.setup.camera_names for output in self.setup.outputs_of(pipeline)}
        deadline = time.monotonic() + (BUILDING if pipeline == "node" else STARTING)
        answered: set = set()
        while answered != asked:
            if time.monotonic() > deadline:
                raise ProcessError(f"the {pipeline} pipeline did not answer; frames were sent to it, none came back")
            segment = self.start(pipeline, rate=WARM_UP_RATE, seconds=WARM_UP)
            self._wait_for(self._done.is_set, STARTING, "the cameras to end")
            self._drain()
            answered = {(camera, output) for output, frames in segment.arrived.items() for camera, _ in frames}

    def _drain(self) -> None:
        segment, start = self._segment, time.monotonic()

        def is_over() -> bool:
            now = time.monotonic()
            return segment.complete or now > max(start, self._last_arrival) + QUIET or now > start + DRAINING

        self._wait_for(is_over, 2 * DRAINING, "the last answers")

    def _statuses_at_rest(self) -> Statuses:
        # The first message may have been on its way already.
        heard = self._statuses_heard + 2
        self._wait_for(
            lambda: self._statuses_heard >= heard and is_at_rest(self.statuses()),
            ANSWERING,
            "diagnostics of the node in which every frame received has its outcome",
        )
        return self.statuses()

    def _processor_times(self) -> Dict[str, float]:
        import psutil

        times = {name: psutil.Process(process.pid).cpu_times() for name, process in self.processes.items()}
        return {name: used.user + used.system for name, used in times.items()}

    def _wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessError(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.02)
        self.check()

    def _hear(self, message: Dict[str, Any]) -> None:
        with self._lock:
            self._segment.note_sent(message.get("sent", ()))
            if "arrived" in message:
                self._segment.note_arrived(message["arrived"])
                self._last_arrival = time.monotonic()
            if "status" in message:
                self._statuses.update(message["status"])
                self._statuses_heard += 1
            self._error = message.get("error", self._error)
            self._trouble = message.get("trouble", self._trouble)
            if "done" in message:
                self._done.set()

    def _end(self, *, quietly: bool) -> None:
        """Ends all processes; what then goes wrong is raised unless something else has."""
        errors: List[ProcessError] = []
        for name, process in self.processes.items():
            try:
                process.check()
                if name == "node":
                    process.interrupt()
                process.close()
            except ProcessError as error:
                errors.append(error)
        if errors and not quietly:
            raise errors[0]
