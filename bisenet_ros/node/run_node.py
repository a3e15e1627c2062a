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
    spinning, interrupted = threading.Event(), threading.Event()

    def interrupt(*_: Any) -> None:
        """Ends the start, once. When the node spins, ROS's end ends it: an exception could be lost in a destructor."""
        if not spinning.is_set() and not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        if not SIGNALS_END_ROS:  # on another thread, as it waits for locks that this one may hold
            threading.Thread(target=rclpy.try_shutdown).start()

    signal.signal(signal.SIGINT, interrupt)  # rclpy shuts ROS down, then calls this
    if not SIGNALS_END_ROS:
        signal.signal(signal.SIGTERM, interrupt)
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
            spinning.set()
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
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the shutdown
        if not SIGNALS_END_ROS:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if node is not None and not node.close(timeout=SHUTDOWN_TIMEOUT):
            # TensorRT is building a plan, which takes minutes and cannot be interrupted.
            _exit_at_once(code)
        with suppress(RuntimeError):  # rclpy's signal handler, on a thread of its own, may do so at the same moment
            rclpy.try_shutdown()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # again: rclpy has restored the handler from before
    return code


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
