# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: camera images in, segmentation masks out."""

from contextlib import ExitStack, suppress
from typing import Any, Callable, Dict, List, Optional

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from bisenet_ros.engines import load_engine
from bisenet_ros.engines.engine import FatalEngineError
from bisenet_ros.errors import BisenetError
from bisenet_ros.node import qos
from bisenet_ros.node.camera import Camera
from bisenet_ros.node.diagnostics.camera_status import CameraStatus
from bisenet_ros.node.diagnostics.node_status import NodeStatus
from bisenet_ros.node.engine_loader import LoadEngine, load_chosen_engine
from bisenet_ros.node.ground_grid import GroundGrid
from bisenet_ros.node.label_info import publish_label_info
from bisenet_ros.node.lifecycle_node import (
    ACTIVE,
    FINALIZED,
    INACTIVE,
    UNCONFIGURED,
    ManagedNode,
    TransitionCallbackReturn,
)
from bisenet_ros.node.parameters import Parameters, error_text
from bisenet_ros.node.pipeline import Pipeline

UPDATE_PERIOD = 0.25
"""Seconds between two checks whether the cameras' subscriptions still fit their parameters and publishers."""
IDLE_TIMEOUT = 4.0
"""Seconds that a frame in the engine has to end where the engine is to be freed."""
ACK_TIMEOUT = Duration(seconds=1)
"""Time for the last diagnostics of a process to arrive."""


class SegmentationNode(ManagedNode):
    """Configured, it has loaded its engine; active, it subscribes to the cameras and publishes masks.

    A transition that fails is logged with its cause and leaves the state as it was; it can be tried again in the same
    process. When the engine is given up, the node deactivates itself and reports why. After a fault that only a new
    process cures, spinning the node raises FatalEngineError.
    """

    def __init__(self, *, load: LoadEngine = load_engine, namespace: str = "segmentation", **options: Any) -> None:
        """Declares the parameters; call `autostart` then.

        Args:
            load: makes the engine.
            options: of rclpy's Node, such as `parameter_overrides`.

        Raises:
            BisenetError: a parameter is invalid.
        """
        super().__init__("segmentation_node", namespace=namespace, **options)
        self._load = load
        self._pipeline: Optional[Pipeline] = None
        self._fatal: Optional[FatalEngineError] = None
        self._resources = ExitStack()  # what is freed at cleanup
        self._cameras: Dict[Camera, CameraStatus] = {}
        self._node_parameters = Parameters(self)  # `_parameters` is rclpy's own
        for message in self._node_parameters.unknown_at_start():
            self.get_logger().warning(message)
        self.create_service(SetBool, "~/enable", self._enable)
        self._fault_guard = self.create_guard_condition(self._deactivate_after_fault)
        self._status = NodeStatus(self, state=UNCONFIGURED)
        self._diagnostics = qos.create_publisher(self, DiagnosticArray, "/diagnostics", 10)
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated one may stand still
        self.create_timer(UPDATE_PERIOD, self._update_cameras, clock=clock)
        self.create_timer(1 / self._node_parameters["diagnostics_rate"], self._publish_diagnostics, clock=clock)

    def autostart(self) -> None:
        """Configures and activates the node, if the parameter `autostart` is true."""
        if self._node_parameters["autostart"]:
            self._bring_up()
        else:
            self.get_logger().info("unconfigured, waiting for a lifecycle transition or the service ~/enable")

    def close(self, *, timeout: Optional[float] = None) -> bool:
        """Frees all, in any state; False, with nothing freed, if the engine still works after `timeout` seconds."""
        if self._pipeline is not None and not self._pipeline.close(timeout=timeout):
            return False
        self._free()
        return True

    def set_parameters_atomically(self, parameter_list: List[Parameter]) -> SetParametersResult:
        """Overrides rclpy's, which the services call, to explain an unknown name, and to declare a new camera's."""
        unknown = self._node_parameters.unknown([parameter.name for parameter in parameter_list])
        if unknown:
            return SetParametersResult(successful=False, reason="; ".join(unknown))
        result = super().set_parameters_atomically(parameter_list)
        with suppress(BisenetError):  # a value that was given at the start is invalid, which fails the configuration
            self._node_parameters.declare_cameras()
        return result

    # Transitions. rclpy discards their exceptions, so they are logged here.

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("configure", self._configure, to=INACTIVE)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("activate", self._activate, to=ACTIVE)

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("deactivate", self._deactivate, to=INACTIVE)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("clean up", self._clean_up, to=UNCONFIGURED)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("shut down", self._shut_down, to=FINALIZED)

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        return self._transition("recover", self._free, to=UNCONFIGURED)

    def _transition(self, name: str, action: Callable[[], None], *, to: str) -> TransitionCallbackReturn:
        try:
            action()
        except FatalEngineError as error:
            self._report_engine_fault(error)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            if self.context.ok():  # else the process is shutting down, and the error follows from that
                self._status.transition_error = f"could not {name}: {error_text(error)}"
                self.get_logger().error(
                    f"{self._status.transition_error}; correct this and try again, for example with ~/enable"
                )
                self._publish_diagnostics()
            return TransitionCallbackReturn.FAILURE
        self._status.state, self._status.transition_error = to, ""
        self._publish_diagnostics()
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        try:
            engine = self._status.engine = load_chosen_engine(self._load, self._node_parameters, self.get_logger())
            self._resources.callback(engine.close)
            self._node_parameters.declare_cameras()
            classes = engine.classes
            self._node_parameters.set_class_names(classes.names)
            label_info = publish_label_info(self, classes)
            if label_info is not None:
                self._resources.callback(self.destroy_publisher, label_info)
            ground_grid = GroundGrid(self, self._node_parameters, classes=classes)
            self._resources.callback(ground_grid.close)
            self._pipeline = Pipeline(
                engine,
                self._node_parameters,
                ground_grid=ground_grid,
                on_fault=self._report_engine_fault,
                logger=self.get_logger(),
                context=self.context,
            )
            for name in self._node_parameters["cameras"]:
                camera = Camera(self, self._node_parameters, name, classes=classes, put=self._pipeline.put)
                self._resources.callback(camera.close)
                self._cameras[camera] = CameraStatus(self, camera)
        except BaseException:
            self._free()
            raise
        self._node_parameters.configured = True

    def _activate(self) -> None:
        assert self._pipeline is not None
        self._status.fault = ""
        self._pipeline.start()
        try:
            for camera in self._cameras:
                camera.update_subscription()
        except Exception:
            self._deactivate()
            raise
        topics = [topic for camera in self._cameras for topic in camera.subscription.possible_topics]
        for message in self._node_parameters.ineffective_overrides(later=topics):
            self.get_logger().warning(message)

    def _deactivate(self) -> None:
        assert self._pipeline is not None
        for camera in self._cameras:
            camera.stop()
        self._pipeline.stop()

    def _clean_up(self) -> None:
        work = self._engine_work()
        if work:
            raise BisenetError(f"the engine is {work}; try again when that is done, or end the process")
        self._free()

    def _shut_down(self) -> None:
        if self._pipeline is not None:
            self._deactivate()
        work = self._engine_work()
        if not work:
            self._free()
            return
        self.get_logger().warning(f"the engine is {work}; it is freed when the process ends")

    def _engine_work(self) -> str:
        """What the engine does, as text; "" where it is idle, for which a frame in the engine gets IDLE_TIMEOUT.

        It cannot be interrupted, and waiting would block the services: for minutes, or for ever where a GPU hangs.
        """
        if self._status.engine is not None and self._status.engine.building:
            return f"building {self._status.engine.building}"
        if self._pipeline is not None and not self._pipeline.is_idle(timeout=IDLE_TIMEOUT):
            return "still at work on a frame"
        return ""

    def _free(self) -> None:
        """Frees all that `_configure` has made so far; an error in one step does not keep the others from running."""
        if self._pipeline is not None:
            self._pipeline.close()
        if self._fatal is None:  # else the process ends, and the last diagnostics say why
            self._status.fault = ""
        self._cameras = {}
        self._pipeline = self._status.engine = None
        self._node_parameters.configured = False
        try:
            self._resources.close()
        except Exception as error:  # such as of a GPU that has failed; a new engine may work
            self.get_logger().error(f"could not free the engine and the publishers: {error_text(error)}")

    # While the node runs

    def _update_cameras(self) -> None:
        if self._status.state != ACTIVE:
            return
        for camera in self._cameras:
            try:
                camera.update_subscription()
            except Exception as error:
                if self.context.ok():  # else the process is shutting down, and the error follows from that
                    self._status.fault, self._status.faulty_camera = f"camera fault: {error_text(error)}", camera.name
                    self._deactivate_after_fault()
                return

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """The service `~/enable`: activates the node from any state that allows it, or deactivates it."""
        if request.data:
            self._bring_up()
        elif self._status.state == ACTIVE:
            self.trigger_deactivate()
        response.success = (self._status.state == ACTIVE) == request.data
        error = "" if response.success else self._status.transition_error
        response.message = error or self._status.state
        return response

    def _bring_up(self) -> None:
        if self._status.state == ACTIVE:
            return
        self._status.transition_error, self._status.is_starting = "", True
        self._publish_diagnostics()  # loading the engine blocks the timers for seconds
        try:
            if self._status.state == UNCONFIGURED:
                self.trigger_configure()
            if self._status.state == INACTIVE:
                self.trigger_activate()
        finally:
            self._status.is_starting = False

    def _report_engine_fault(self, error: Exception) -> None:
        """Called on the engine's thread; the guard condition makes the executor's thread act on it."""
        self._status.fault, self._status.faulty_camera = f"engine fault: {error_text(error)}", ""
        self._status.engine_faults += 1
        if isinstance(error, FatalEngineError):
            self._status.is_ending, self._fatal = True, error
        self._fault_guard.trigger()

    def _deactivate_after_fault(self) -> None:
        if self._fatal is not None:
            self._publish_diagnostics()
            with suppress(RuntimeError, AttributeError):  # not every RMW can, and Foxy and Galactic have no such method
                self._diagnostics.wait_for_all_acked(ACK_TIMEOUT)
            raise self._fatal
        if self._status.state != ACTIVE or not self._status.fault:
            return
        self.get_logger().error(self._status.fault_and_remedy())
        self.trigger_deactivate()

    def _publish_diagnostics(self) -> None:
        is_active = self._status.state == ACTIVE
        array = DiagnosticArray(status=[self._status.message()])
        array.status += [status.message(active=is_active) for status in self._cameras.values()]
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)
