# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node's status in /diagnostics: its state, its engine, and problems of the ROS graph around it."""

from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Tuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node

from bisenet_ros.engines.engine import Engine
from bisenet_ros.node import restart
from bisenet_ros.node.camera_topics import resolve_topic
from bisenet_ros.node.diagnostics.problem_log import ProblemLog
from bisenet_ros.node.lifecycle_node import ACTIVE, HAS_TRANSITIONS

GRAPH_PROBLEM_DELAY = 5.0
"""Seconds until a problem of the graph is reported: a bag player may start after the node, and an earlier node may
still be shutting down."""


@dataclass
class NodeStatus:
    """What the node knows of itself, and the status message made of it.

    Attributes:
        state: of the lifecycle, as in lifecycle_node.py.
        is_starting: the node is configuring or activating itself.
        transition_error: why the last transition failed; empty if it succeeded.
        fault: why the node deactivated itself; empty if it did not.
        faulty_camera: the name of the camera with that fault; empty if it was the engine's.
        engine_faults: how often the engine was given up.
        is_ending: the fault was one that only a new process cures.
        engine: None until the node is configured.
    """

    node: Node
    state: str
    is_starting: bool = False
    transition_error: str = ""
    fault: str = ""
    faulty_camera: str = ""
    engine_faults: int = 0
    is_ending: bool = False
    engine: Optional[Engine] = None

    def __post_init__(self) -> None:
        self._graph_problems = ProblemLog(self.node, delay=GRAPH_PROBLEM_DELAY)
        self._earlier_faults = restart.earlier_faults()

    def message(self) -> DiagnosticStatus:
        level, text = self._level_and_text(self._graph_problems.update(list(find_graph_problems(self.node))))
        return DiagnosticStatus(
            level=level,
            name=f"{self.node.get_fully_qualified_name()}: segmentation",
            message=text,
            hardware_id=self.engine.description if self.engine else "",
            values=[KeyValue(key=key, value=value) for key, value in self._values().items()],
        )

    def fault_and_remedy(self) -> str:
        """Why the node deactivated itself, and how to activate it again."""
        if self.is_ending:
            return f"{self.fault}; this process ends with exit code {restart.EXIT_CODE}, start the node again"
        name = self.node.get_fully_qualified_name()
        return (
            f"{self.fault}; the node is inactive. `ros2 service call {name}/enable std_srvs/srv/SetBool "
            f"'{{data: true}}'` activates it again; if that fails again, {self._remedy_for_lasting_fault()}"
        )

    def _remedy_for_lasting_fault(self) -> str:
        if self.faulty_camera:
            return (
                "correct what the error names and start the node again, or first set "
                f"{self.faulty_camera}.enabled to false"
            )
        if HAS_TRANSITIONS:
            name = self.node.get_fully_qualified_name()
            return f"first run `ros2 lifecycle set {name} cleanup`, so that the engine is loaded again"
        return "start the node again"

    def _level_and_text(self, graph_problems: List[str]) -> Tuple[bytes, str]:
        if self.transition_error:
            return DiagnosticStatus.ERROR, self.transition_error
        if self.is_starting:
            return DiagnosticStatus.OK, "starting"
        if self.fault:
            return DiagnosticStatus.ERROR, self.fault_and_remedy()
        problems = [f"started again after a fault: {fault}" for fault in self._earlier_faults[-1:]] + graph_problems
        level = DiagnosticStatus.WARN if problems else DiagnosticStatus.OK
        return level, "; ".join([self._activity(), *problems])

    def _activity(self) -> str:
        if self.state != ACTIVE:
            return self.state
        if self.engine is not None and self.engine.building:
            return f"building {self.engine.building}"
        return "running"

    def _values(self) -> Dict[str, str]:
        values = {"state": self.state, "engine_faults": str(self.engine_faults)}
        values["restarts"] = str(len(self._earlier_faults))
        if self.engine is None:
            return values
        values["engine"] = self.engine.description
        if self.engine.precision_reason:
            values["precision_reason"] = self.engine.precision_reason
        memory = self.engine.memory_mib()
        if memory is not None:
            used, total = memory
            values["gpu_memory_mib"] = f"{used:.0f} of {total:.0f}"
        return values


def find_graph_problems(node: Node) -> Iterator[str]:
    """A second node of the same name, and a simulated clock that nobody publishes."""
    if node.get_node_names_and_namespaces().count((node.get_name(), node.get_namespace())) > 1:
        yield (
            f"another node is also called {node.get_fully_qualified_name()}: both publish on the same topics and "
            "answer the same services; start one of them in another namespace (`-r __ns:=/another`, `ros2 launch ... "
            "namespace:=another`), or under another name (`-r __node:=another`) if its topics are remapped"
        )
    clock = resolve_topic(node, "/clock")
    if node.get_parameter("use_sim_time").value and not node.get_publishers_info_by_topic(clock):
        yield (
            f"use_sim_time is set, but nobody publishes {clock}: the node's time stands still; play the bag with "
            "--clock, start the simulator, or set use_sim_time to false"
        )
