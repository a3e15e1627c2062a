# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Runs the node as a process: command line, signals, exit code."""

import argparse
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any, NoReturn, Optional

import rclpy
import rclpy.signals
from rclpy.executors import ExternalShutdownException
from rclpy.utilities import remove_ros_args

from bisenet_ros.engines import load_engine
from bisenet_ros.engines.engine import FatalEngineError
from bisenet_ros.engines.loader import remove_made_files
from bisenet_ros.files.package_share import package_file
from bisenet_ros.node import restart
from bisenet_ros.node.engine_loader import LoadEngine
from bisenet_ros.node.fastdds import use_shared_memory
from bisenet_ros.node.image_memory import keep_image_memory
from bisenet_ros.node.parameters import USER_ERRORS, error_text
from bisenet_ros.node.segmentation_node import SegmentationNode

SHUTDOWN_TIMEOUT = 4.0
"""Seconds that the engine has to finish its frame when the process ends; `ros2 launch` waits 5 before it escalates."""
SIGNALS_END_ROS = hasattr(rclpy.signals, "SignalHandlerOptions")
"""Whether rclpy shuts ROS down on SIGINT and SIGTERM. On Foxy and Galactic it only wakes its executor, on SIGINT."""


def run_node(*, load: LoadEngine = load_engine) -> int:
    """Runs the node until SIGINT or SIGTERM; returns the exit code: 1 after an error, else 0.

    A fault of the GPU that only a new process cures ends this one, with restart.EXIT_CODE.
    """
    signals = _Signals()
    use_shared_memory()
    keep_image_memory()
    try:
        _parse_arguments()
        rclpy.init()
    except RuntimeError as error:  # ROS arguments that rclpy cannot read
        return _report(error)
    except KeyboardInterrupt:
        return 0
    node, code = None, 0
    try:
        node = SegmentationNode(load=load)
        node.autostart()
        if rclpy.ok():  # else a signal came while the model was loaded
            signals.leave_to_ros()
            rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except FatalEngineError as error:
        _end_process(node, error)
    except Exception as error:
        # SIGTERM shuts ROS down without interrupting Python: a node that is still starting then fails with any error.
        if rclpy.ok():
            code = _report(error)
            if not isinstance(error, USER_ERRORS):
                traceback.print_exc()
    finally:
        signals.ignore()  # a second Ctrl-C must not interrupt the shutdown
        _shut_down(node, code)
    return code


class _Signals:
    """What SIGINT does, and SIGTERM where rclpy leaves it alone."""

    def __init__(self) -> None:
        """From here on a signal ends the start, once."""
        self._is_left_to_ros, self._has_ended_start = threading.Event(), threading.Event()
        self._signals = [signal.SIGINT] if SIGNALS_END_ROS else [signal.SIGINT, signal.SIGTERM]
        for number in self._signals:
            signal.signal(number, self._end)  # rclpy shuts ROS down, then calls this

    def leave_to_ros(self) -> None:
        """From here on a signal only ends ROS, which ends the node: an exception could be lost in a destructor."""
        self._is_left_to_ros.set()

    def ignore(self) -> None:
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN)

    def _end(self, *_: Any) -> None:
        if not self._is_left_to_ros.is_set() and not self._has_ended_start.is_set():
            self._has_ended_start.set()
            raise KeyboardInterrupt
        if not SIGNALS_END_ROS:  # on another thread, as it waits for locks that this one may hold
            threading.Thread(target=rclpy.try_shutdown).start()


def _shut_down(node: Optional[SegmentationNode], code: int) -> None:
    """Frees the engine and ends ROS; ends the process where the engine does not end."""
    if node is not None and not node.close(timeout=SHUTDOWN_TIMEOUT):
        # TensorRT is building a plan, which takes minutes and cannot be interrupted.
        _exit_at_once(code)
    with suppress(RuntimeError):  # rclpy's signal handler, on a thread of its own, may do so at the same moment
        rclpy.try_shutdown()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # again: rclpy has restored the handler from before


def _parse_arguments() -> None:
    """Prints --help, and exits with an error for any argument that is not a ROS argument."""
    parser = argparse.ArgumentParser(
        prog="segmentation_node",
        description="Segments camera images: reads /camera/image_raw, publishes /segmentation/mask and related topics.",
        epilog="Parameters and remappings are ROS arguments:\n"
        "  segmentation_node --ros-args -p model:=/path/model.onnx -r /camera/image_raw:=/front/image_raw\n"
        "This file lists the parameters with their defaults; pass an edited copy with --params-file:\n"
        f"  {package_file('config/segment.yaml')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # the default would wrap the path
    )
    parser.parse_args(remove_ros_args()[1:])


def _end_process(node: Optional[SegmentationNode], error: FatalEngineError) -> NoReturn:
    """Frees nothing on the GPU, which has failed: TensorRT's destructors could abort the process."""
    _report(error)
    restart.record_fault(str(error))
    with suppress(Exception):
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    _exit_at_once(restart.EXIT_CODE)


def _exit_at_once(code: int) -> NoReturn:
    """Ends the process without Python's own clean-up, which would wait for the GPU."""
    with suppress(OSError):
        remove_made_files()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _report(error: Exception) -> int:
    rclpy.logging.get_logger("segmentation_node").fatal(error_text(error))
    return 1
