"""`ros2 launch bisenet_ros segment.launch.py`: the node, with everything at its default."""

from pathlib import Path
from typing import List

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from bisenet_ros.dds_profile import shared_memory_environment
from bisenet_ros.share import share_file


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            "model",
            default_value="",
            description="Model file (.onnx) with its card inside; empty: what params_file says, else the shipped one.",
        ),
        DeclareLaunchArgument(
            "image_topic", default_value="/camera/image_raw", description="The camera's sensor_msgs/Image topic."
        ),
        DeclareLaunchArgument(
            "namespace",
            default_value="segmentation",
            description="Namespace of the node and of its topics; / for none.",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=str(share_file("config/segment.yaml")),
            description="YAML file with the node's parameters.",
        ),
    ]
    # Without the shared-memory profile most large images are lost; a profile of the user's own is left alone.
    environment = [SetEnvironmentVariable(name, value) for name, value in shared_memory_environment().items()]
    return LaunchDescription([*arguments, *environment, OpaqueFunction(function=_segmentation_node)])


def _segmentation_node(context: LaunchContext) -> List[Node]:
    """The node's action; only here are the arguments' values known."""
    model, image_topic, namespace, params_file = (
        LaunchConfiguration(name).perform(context) for name in ("model", "image_topic", "namespace", "params_file")
    )
    if not Path(params_file).is_file():  # launch would only warn, and start the node without it
        raise FileNotFoundError(f"params_file must be a YAML file with the node's parameters, got {params_file!r}")
    overrides = [{"model": model}] if model else []  # an empty one must not override that of params_file
    node = Node(
        package="bisenet_ros",
        executable="segmentation_node",
        name="segmentation_node",
        namespace=namespace,
        parameters=[params_file, *overrides],
        remappings=[("/camera/image_raw", image_topic)],
        output="screen",
        emulate_tty=True,
    )
    return [node]
