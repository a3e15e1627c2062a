"""`segmentation_node`: camera images in, label masks out."""

from __future__ import annotations

import argparse
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException, ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.utilities import remove_ros_args
from std_srvs.srv import SetBool

from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.node.camera import Camera
from bisenet_ros.node.diagnostics.camera_status import CameraHealth
from bisenet_ros.node.diagnostics.node_status import Surroundings
from bisenet_ros.node.diagnostics.publisher import Diagnostics
from bisenet_ros.node.fastdds import use_shared_memory
from bisenet_ros.node.label_info import publish_label_info
from bisenet_ros.node.lifecycle_node import ManagedNode, TransitionCallbackReturn
from bisenet_ros.node.parameters import Parameters
from bisenet_ros.node.pipeline import Pipeline

FOLLOW_PERIOD = 0.25
"""Seconds between two looks at what the cameras' drivers offer."""
LAST_FRAME = 4.0
"""Seconds that the engine has for its frame when the process ends; `ros2 launch` waits 5 before it says so again."""
EXPECTED_ERRORS = (ParameterException, ValueError, OSError, ModuleNotFoundError)
"""What is wrong with the parameters, the model or its surroundings, and said without the error's name."""
PARAMETER_FILE = "config/segment.yaml"
UNCONFIGURED, INACTIVE, ACTIVE = "unconfigured", "inactive", "active"

LoadEngine = Callable[..., Engine]


class SegmentationNode(ManagedNode):
    """A lifecycle node: configured it has its engine, active it subscribes to the cameras and publishes masks.

    A transition that fails is logged with its cause and leaves the state before; nothing needs a new process. Where
    the engine is given up, the node becomes inactive and says why.

    Raises:
        ValueError: a parameter has a value that cannot be meant.
    """

    def __init__(self, *, load: LoadEngine = load_engine) -> None:
        """
        Args:
            load: makes the engine, like `load_engine`.
        """
        super().__init__("segmentation_node", namespace="segmentation")
        self._load = load
        self.state = UNCONFIGURED
        self._is_starting = False
        self._trouble = ""
        self._fault = ""
        self._faults = 0
        self._engine: Optional[Engine] = None
        self._pipeline: Optional[Pipeline] = None
        self._label_info: Optional[Publisher] = None
        self._cameras: List[Camera] = []
        self._healths: List[CameraHealth] = []
        self._settings = Parameters(self)  # `_parameters` is rclpy's
        for misspelt in self._settings.misspelt():
            self.get_logger().warning(misspelt)
        self.create_service(SetBool, "~/enable", self._enable)
        self._fault_guard = self.create_guard_condition(self._deactivate_after_fault)
        self.create_timer(FOLLOW_PERIOD, self._follow, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._surroundings = Surroundings(self)
        self._diagnostics = Diagnostics(self, self._statuses, rate=self._settings["diagnostics_rate"])

    def autostart(self) -> None:
        """Configures and activates, if the parameter `autostart` says so."""
        if self._settings["autostart"]:
            self._bring_up()
        else:
            self.get_logger().info("unconfigured, and waiting for a lifecycle transition or ~/enable")

    def close(self, *, patience: Optional[float] = None) -> bool:
        """Frees the cameras and the engine, from any state; False where the engine kept its frame for too long."""
        if self._pipeline is not None and not self._pipeline.close(patience=patience):
            return False
        self._free()
        return True

    def set_parameters_atomically(self, parameter_list: List[Parameter]) -> SetParametersResult:
        """What the parameter services call; rclpy would not say which parameter there is instead of an unknown one."""
        unknown = self._settings.unknown([parameter.name for parameter in parameter_list])
        if unknown:
            return SetParametersResult(successful=False, reason="; ".join(unknown))
        return super().set_parameters_atomically(parameter_list)

    # Transitions. rclpy swallows what they raise, so they log it themselves.

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("configure", self._configure, to=INACTIVE)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("activate", self._activate, to=ACTIVE)

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("deactivate", self._deactivate, to=INACTIVE)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("clean up", self._clean_up, to=UNCONFIGURED)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("shut down", self._free, to="finalized")

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("recover", self._free, to=UNCONFIGURED)

    def _transition(self, name: str, action: Callable[[], None], *, to: str) -> TransitionCallbackReturn:
        try:
            action()
        except Exception as error:
            if rclpy.ok():  # else the process is ending, and this is no news
                self._trouble = f"could not {name}: {_in_one_line(error)}"
                self.get_logger().error(f"{self._trouble}; the node waits to be told again, see ~/enable")
                self._diagnostics.publish()
            return TransitionCallbackReturn.FAILURE
        self.state, self._trouble = to, ""
        self._diagnostics.publish()
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        try:
            self._engine = self._load_engine()
            self._settings.declare_cameras()
            self._settings.set_class_names(self._engine.card.classes.names)
            self._label_info = publish_label_info(self, self._engine.card.classes)
            self._pipeline = Pipeline(
                self._engine,
                opacity=lambda: self._settings["overlay_opacity"],
                on_fault=self._give_up,
                logger=self.get_logger(),
            )
            names = self._settings["cameras"]
            self._cameras = [self._make_camera(name, prefix=f"{name}/" if len(names) > 1 else "") for name in names]
            self._healths = [CameraHealth(self, camera) for camera in self._cameras]
        except BaseException:
            self._free()
            raise
        self._settings.configured = True

    def _load_engine(self) -> Engine:
        parameters = self._settings
        model = parameters["model"] or package_file(SHIPPED_MODEL)
        cache = Path(parameters["plan_cache"]).expanduser() if parameters["plan_cache"] else None
        engine = self._load(
            model,
            device=parameters["device"],
            precision=parameters["precision"],
            cache=cache,
            max_batch=len(parameters["cameras"]),
        )
        self.get_logger().info(f"{model}: {len(engine.card.classes)} classes, {engine.description}")
        return engine

    def _make_camera(self, name: str, *, prefix: str) -> Camera:
        assert self._engine is not None and self._pipeline is not None
        return Camera(
            self,
            self._settings,
            name,
            prefix=prefix,
            colors=self._engine.card.classes.color_table(),
            receive=self._pipeline.put,
        )

    def _activate(self) -> None:
        assert self._pipeline is not None
        self._fault = ""
        self._pipeline.start()
        try:
            self._follow_cameras()
        except Exception:
            self._deactivate()
            raise

    def _deactivate(self) -> None:
        assert self._pipeline is not None
        for camera in self._cameras:
            camera.stop()
        self._pipeline.stop()

    def _clean_up(self) -> None:
        if self._engine is not None and self._engine.building:
            # Nothing interrupts it, and waiting for minutes would keep the services from answering.
            raise RuntimeError(f"the engine is building {self._engine.building}; try again when that is done")
        self._free()

    def _free(self) -> None:
        """Everything that configuring made, as far as it came; one thing that fails does not keep the others."""
        steps: List[Tuple[str, Callable[[], Any]]] = [(f"stop {c.name}", c.stop) for c in self._cameras]
        if self._pipeline is not None:
            steps.append(("end the pipeline", self._pipeline.close))
        steps += [(f"free {c.name}", c.close) for c in self._cameras]
        if self._label_info is not None:
            steps.append(("free label_info", partial(self.destroy_publisher, self._label_info)))
        if self._engine is not None:
            steps.append(("free the engine", self._engine.close))
        self._cameras, self._healths = [], []
        self._pipeline = self._label_info = self._engine = None
        self._settings.configured = False
        for what, step in steps:
            try:
                step()
            except Exception as error:  # a GPU that has failed, say; the next engine may be fine
                self.get_logger().error(f"could not {what}: {_in_one_line(error)}")

    # What happens while it runs

    def _follow(self) -> None:
        if self.state != ACTIVE:
            return
        try:
            self._follow_cameras()
        except Exception as error:
            self._fault = f"camera fault: {_in_one_line(error)}"
            self._deactivate_after_fault()

    def _follow_cameras(self) -> None:
        for camera in self._cameras:
            camera.follow()

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """The service `~/enable`: active or not, however the node got where it is."""
        if request.data:
            self._bring_up()
        elif self.state == ACTIVE:
            self.trigger_deactivate()
        response.success = (self.state == ACTIVE) == request.data
        response.message = self._trouble or self.state
        return response

    def _bring_up(self) -> None:
        if self.state == ACTIVE:
            return
        self._trouble, self._is_starting = "", True
        self._diagnostics.publish()  # loading the engine takes seconds, in which the node says nothing
        try:
            if self.state == UNCONFIGURED:
                self.trigger_configure()
            if self.state == INACTIVE:
                self.trigger_activate()
        finally:
            self._is_starting = False

    def _give_up(self, fault: str) -> None:
        """Called on the engine's thread; transitions belong to the executor's."""
        self._fault = f"engine fault: {fault}"
        self._faults += 1
        self._fault_guard.trigger()

    def _deactivate_after_fault(self) -> None:
        if self.state != ACTIVE or not self._fault:
            return
        self.get_logger().error(f"{self._fault}; the node is now inactive. {self._way_back()}")
        self.trigger_deactivate()

    def _way_back(self) -> str:
        name = self.get_fully_qualified_name()
        return (
            f"`ros2 service call {name}/enable std_srvs/srv/SetBool '{{data: true}}'` brings it back; if the engine "
            f"fails again, `ros2 lifecycle set {name} cleanup` first, so that it is loaded anew"
        )

    # Diagnostics

    def _statuses(self) -> List[DiagnosticStatus]:
        level, message = self._judge()
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_fully_qualified_name()}: segmentation",
            message=message,
            hardware_id=self._engine.description if self._engine else "",
            values=[KeyValue(key=key, value=value) for key, value in self._values().items()],
        )
        return [status, *(health.status(active=self.state == ACTIVE) for health in self._healths)]

    def _judge(self) -> Any:
        if self._trouble:
            return DiagnosticStatus.ERROR, self._trouble
        if self._is_starting:
            return DiagnosticStatus.OK, "starting"
        if self._fault:
            return DiagnosticStatus.ERROR, f"{self._fault}; {self._way_back()}"
        if self._surroundings.problems:
            return DiagnosticStatus.WARN, f"{self._progress()}; {'; '.join(self._surroundings.problems)}"
        return DiagnosticStatus.OK, self._progress()

    def _progress(self) -> str:
        if self.state != ACTIVE:
            return self.state
        if self._engine is not None and self._engine.building:
            return f"building {self._engine.building}"
        return "running"

    def _values(self) -> Dict[str, str]:
        values = {"state": self.state, "engine_faults": str(self._faults)}
        if self._engine is None:
            return values
        values["engine"] = self._engine.description
        memory = self._engine.memory_mib()
        if memory is not None:
            used, total = memory
            values["gpu_memory_mib"] = f"{used:.0f} of {total:.0f}"
        return values


def main(args: Optional[List[str]] = None) -> int:
    """Runs the node until SIGINT or SIGTERM; 1 when it could not start."""
    return run_node(args)


def run_node(args: Optional[List[str]] = None, *, load: LoadEngine = load_engine) -> int:
    """The same, with engines from `load`."""
    use_shared_memory()
    try:
        _refuse_other_arguments(args)
        rclpy.init(args=args)
    except RuntimeError as error:  # arguments that ROS cannot read
        return _fail(error)
    node = None
    try:
        node = SegmentationNode(load=load)
        node.autostart()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception as error:
        # SIGTERM does not interrupt Python: a node that is starting goes on, until it asks something of the ended ROS.
        if rclpy.ok():
            if isinstance(error, EXPECTED_ERRORS):
                return _fail(error)
            raise
    finally:
        # Another Ctrl-C must not break off what ends in a moment.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None and not node.close(patience=LAST_FRAME):
            # Building a plan takes minutes, and nothing interrupts it; not even the interpreter ends before it.
            os._exit(0)
        rclpy.try_shutdown()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once more: rclpy has put back what was there before it
    return 0


def _refuse_other_arguments(args: Optional[List[str]]) -> None:
    """Everything is said with ROS arguments; `--model x`, say, must not be passed over."""
    parser = argparse.ArgumentParser(
        prog="segmentation_node",
        description="Segments camera images: /camera/image_raw in, /segmentation/mask and what belongs to it out.",
        epilog="Parameters and remappings are ROS arguments:\n"
        "  segmentation_node --ros-args -p model:=/path/model.onnx -r /camera/image_raw:=/front/image_raw\n"
        "The parameters are listed, with their defaults, in this file; --params-file takes an edited copy:\n"
        f"  {_parameter_file()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # else it would break the path
    )
    parser.parse_args(remove_ros_args(args)[1:])


def _parameter_file() -> str:
    try:
        return str(package_file(PARAMETER_FILE))
    except FileNotFoundError:  # an installation without its data
        return f"{PARAMETER_FILE} of bisenet_ros's sources"


def _in_one_line(error: Exception) -> str:
    """However many lines the engine's own message has."""
    text = _words_of(error)
    return text if isinstance(error, EXPECTED_ERRORS) else f"{type(error).__name__}: {text}"


def _words_of(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, InvalidParameterTypeException):
        return text.rpartition(": ")[0] or text  # rclpy names the parameter once more behind
    return text


def _fail(error: Exception) -> int:
    rclpy.logging.get_logger("segmentation_node").fatal(_words_of(error))
    return 1
