"""`ros2 launch bisenet_ros segment.launch.py`: the node, with everything at its default."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from bisenet_ros.dds_profile import shared_memory_environment


def generate_launch_description() -> LaunchDescription:
    share = FindPackageShare("bisenet_ros")
    arguments = [
        DeclareLaunchArgument(
            "model", default_value="", description="Model file (.onnx) with its card inside; empty: the shipped one."
        ),
        DeclareLaunchArgument(
            "image_topic", default_value="/camera/image_raw", description="The camera's sensor_msgs/Image topic."
        ),
        DeclareLaunchArgument(
            "namespace", default_value="segmentation", description="Namespace of the node and of its topics."
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([share, "config", "segment.yaml"]),
            description="YAML file with the node's parameters.",
        ),
    ]
    # Without the shared-memory profile most large images are lost; a profile of the user's own is left alone.
    environment = [SetEnvironmentVariable(name, value) for name, value in shared_memory_environment().items()]
    node = Node(
        package="bisenet_ros",
        executable="segmentation_node",
        name="segmentation_node",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), {"model": LaunchConfiguration("model")}],
        remappings=[("/camera/image_raw", LaunchConfiguration("image_topic"))],
        output="screen",
        emulate_tty=True,
    )
    return LaunchDescription([*arguments, *environment, node])
