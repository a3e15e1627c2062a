"""`segmentation_node`: camera images in, label masks out."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from pathlib import Path
from typing import List, Optional

import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

from bisenet_ros.dds_profile import use_shared_memory
from bisenet_ros.engines import load_engine
from bisenet_ros.node.camera_subscription import CameraSubscription
from bisenet_ros.node.diagnostics import Diagnostics, Statistics
from bisenet_ros.node.image_messages import ImageError, make_image, paint, read_frame
from bisenet_ros.node.newest_frame import NewestFrame
from bisenet_ros.node.parameters import declare_parameters
from bisenet_ros.node.throttle import Throttle
from bisenet_ros.share import share_file

SHIPPED_MODEL = "models/bisenetv2_camvid.onnx"
IMAGE_TOPIC = "/camera/image_raw"
MASK_DEPTH = 5
"""Masks kept for reliable subscribers that lag for a moment; costs no latency on the publisher's side."""
LOG_PERIOD = 5.0
"""Seconds between two log lines about frames that cannot be used for the same reason."""
START_ERRORS = (
    ValueError,
    OSError,
    ModuleNotFoundError,
    InvalidParameterTypeException,
    InvalidParameterValueException,
)
"""What is wrong with the parameters or the model, and said without a traceback."""


class SegmentationNode(Node):
    """Subscribes to the camera and publishes `mask` (mono8 ids) and `color_mask` (rgb8).

    The executor's thread receives, a thread of its own runs the engine and publishes, so that the newest frame is
    always at hand and those it displaces are counted.

    Raises:
        ValueError, OSError, ModuleNotFoundError: the parameters or the model cannot be used; see `load_engine`.
    """

    def __init__(self) -> None:
        super().__init__("segmentation_node", namespace="segmentation")
        parameters = declare_parameters(self)
        model = parameters.model or share_file(SHIPPED_MODEL)
        cache = Path(parameters.plan_cache).expanduser() if parameters.plan_cache else None
        self._engine = load_engine(model, device=parameters.device, precision=parameters.precision, cache=cache)
        self.get_logger().info(f"{model}: {len(self._engine.card.labels)} classes, {self._engine.description}")
        self._colours = self._engine.card.labels.colour_table()
        self._mask_publisher = self.create_publisher(Image, "mask", MASK_DEPTH)
        self._color_mask_publisher = self.create_publisher(Image, "color_mask", MASK_DEPTH)
        self._statistics = Statistics()
        self._log_throttle = Throttle(LOG_PERIOD)
        self._newest: NewestFrame[Image] = NewestFrame()
        self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
        self._worker.start()
        camera = CameraSubscription(self, IMAGE_TOPIC, self._receive, reliability=parameters.reliability)
        Diagnostics(
            self,
            self._statistics,
            engine=self._engine,
            topic=camera.topic,
            rate=parameters.diagnostics_rate,
        )

    def close(self) -> None:
        """Ends the engine's thread after the frame it has in hand."""
        self._newest.close()
        self._worker.join()
        self._engine.close()

    def _receive(self, message: Image) -> None:
        self._statistics.count("received")
        if self._newest.put(message):
            self._statistics.count("dropped")

    def _work(self) -> None:
        while (message := self._newest.take()) is not None:
            try:
                self._segment(message)
            except ImageError as error:
                self._statistics.count("skipped")
                if self._log_throttle.passes(error.reason):
                    self.get_logger().warning(f"skipped an image: {error}")
            except Exception as error:  # one bad frame must not end the node
                if not rclpy.ok():
                    return
                self._statistics.count("failed")
                reason = type(error).__name__
                if self._log_throttle.passes(reason):
                    self.get_logger().error(f"could not segment an image: {reason}: {error}")

    def _segment(self, message: Image) -> None:
        frame = read_frame(message)
        start = time.perf_counter()
        labels = self._engine.segment(frame)
        self._statistics.add_engine_time(time.perf_counter() - start)
        self._mask_publisher.publish(make_image(labels, "mono8", message.header))
        if self._color_mask_publisher.get_subscription_count():
            self._color_mask_publisher.publish(make_image(paint(labels, self._colours), "rgb8", message.header))
        self._statistics.count("published")


def main(args: Optional[List[str]] = None) -> int:
    """Runs the node until SIGINT or SIGTERM; 1 when it could not start."""
    use_shared_memory()
    try:
        _refuse_other_arguments(args)
        rclpy.init(args=args)
    except RuntimeError as error:  # arguments that ROS cannot read
        return _fail(error)
    node = None
    try:
        node = SegmentationNode()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception as error:
        # SIGTERM does not interrupt Python: a node that is starting goes on, until it asks something of the ended ROS.
        if rclpy.ok():
            if isinstance(error, START_ERRORS):
                return _fail(error)
            raise
    finally:
        # Another Ctrl-C must not break off what ends in a moment.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.close()
        rclpy.try_shutdown()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once more: rclpy has put back what was there before it
    return 0


def _refuse_other_arguments(args: Optional[List[str]]) -> None:
    """Everything is said with ROS arguments; `--model x`, say, must not be passed over."""
    parser = argparse.ArgumentParser(
        prog="segmentation_node",
        description="Segments camera images: /camera/image_raw in, /segmentation/mask and color_mask out.",
        epilog="Parameters and remappings are ROS arguments: segmentation_node --ros-args -p model:=/path/model.onnx "
        "-r /camera/image_raw:=/front/image_raw. The parameters are listed in config/segment.yaml.",
    )
    parser.parse_args(remove_ros_args(args)[1:])


def _fail(error: Exception) -> int:
    # In one line, however many the engine's own message has.
    rclpy.logging.get_logger("segmentation_node").fatal(" ".join(str(error).split()))
    return 1
