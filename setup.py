# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
import re
import sys
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup


def command_entry_points(package: str, folder: str) -> list:
    """The entry points of a package's `bisenet` commands: one for each file in the folder."""
    names = sorted(path.stem for path in Path(folder).glob("[a-z]*.py"))
    return [f"{name.replace('_', '-')} = {package}.commands.{name}" for name in names]


data_files = [
    ("share/ament_index/resource_index/packages", ["resource/bisenet_ros"]),
    ("share/bisenet_ros", ["package.xml"]),
    ("share/bisenet_ros/launch", glob("launch/*.launch.py")),
    ("share/bisenet_ros/config", glob("config/*.*")),
    ("share/bisenet_ros/config/nav2", glob("config/nav2/*.yaml")),
    ("share/bisenet_ros/config/class_maps", glob("config/class_maps/*.yaml")),
    ("share/bisenet_ros/models", glob("models/*.onnx")),
    ("share/bisenet_ros/recipes", glob("training/recipes/*.yaml")),
    ("share/bisenet_ros/recipes/ablations", glob("training/recipes/ablations/*.yaml")),
]
if "bdist_wheel" in sys.argv:
    # pip puts scripts into bin, but `ros2 run` looks for them in lib/bisenet_ros, where colcon puts them.
    data_files.append(("lib/bisenet_ros", ["resource/segmentation_node"]))

setup(
    name="bisenet_ros",
    version=re.search(r'__version__ = "(.+)"', Path("bisenet_ros/__init__.py").read_text())[1],
    description="Real-time semantic segmentation for ROS 2 with BiSeNet V2",
    url="https://github.com/bisenet-ros/bisenet_ros",
    author="bisenet_ros maintainers",
    author_email="maintainers@bisenet-ros.org",
    maintainer="bisenet_ros maintainers",
    maintainer_email="maintainers@bisenet-ros.org",
    license="Apache-2.0",
    python_requires=">=3.8",
    packages=[*find_packages(include=["bisenet_ros", "bisenet_ros.*"]), *find_packages("training")],
    package_dir={"bisenet_training": "training/bisenet_training"},
    package_data={
        "bisenet_ros": ["py.typed"],
        "bisenet_training": ["py.typed", "class_maps/*.yaml", "datasets/*.yaml"],
        "bisenet_ros.engines.cuda": ["*.cu"],
        "bisenet_ros.evaluation.report": ["templates/*"],
    },
    data_files=data_files,
    # Where colcon puts scripts. Most ROS 2 packages say so in setup.cfg, but on Python 3.8 and 3.9 pip reads that too
    # when it runs in the checkout, and would put the scripts into lib/bisenet_ros, off PATH.
    options={
        "install": {"install_scripts": "$base/lib/bisenet_ros"},
        "develop": {"script_dir": "$base/lib/bisenet_ros"},
    },
    install_requires=[
        "setuptools",
        "numpy",
        "numba",
        "onnx",
        "onnxruntime",
        "opencv-python-headless",
        "pillow",
        "pyyaml",
    ],
    extras_require={
        "openvino": ["openvino>=2023.1"],
        # For GeForce RTX and RTX PRO; a Jetson has TensorRT in JetPack.
        "tensorrt-rtx": ["tensorrt-rtx", "cuda-bindings>=13,<14", "nvidia-cuda-nvrtc>=13,<14"],
        # The real rclpy and Fast DDS of Jazzy as wheels, where no ROS 2 is installed.
        "ros": [
            "ros-jazzy-rclpy",
            "ros-jazzy-rmw-fastrtps-cpp",
            "ros-sensor-msgs~=5.3.6",
            "ros-nav-msgs~=5.3.6",
            "ros-diagnostic-msgs~=5.3.6",
            "ros-std-srvs~=5.3.6",
        ],
        "ros-kilted": [
            "ros-kilted-rclpy",
            "ros-kilted-rmw-fastrtps-cpp",
            "ros-sensor-msgs~=5.5.1",
            "ros-nav-msgs~=5.5.1",
            "ros-diagnostic-msgs~=5.5.1",
            "ros-std-srvs~=5.5.1",
        ],
        "demo": ["tqdm"],
        "segment": ["tqdm"],
        "benchmark": ["psutil", "matplotlib"],
        "evaluation": [
            "rosbags>=0.11",
            "ruamel.yaml",  # as rosbags: YAML 1.2
            "mcap",
            "zstandard",  # as mcap
            "backports.zstd; python_version < '3.14'",  # as rosbags
            "tqdm",
            "jinja2",
            "matplotlib",
        ],
        "cluster": ["distributed"],  # evaluate-bag --dask
        "training": [
            "torch",
            "lightning>=2.6",  # the first with weight averaging
            "tensorboard",
            "pydantic>=2",
            "pyyaml",
            "tqdm",
            "rich",
            "scipy",  # COCO-Stuff 10K keeps its labels in MATLAB files
            "pycocotools",  # make-labels: polygons and run lengths of COCO files
            "jinja2",
            "matplotlib",
        ],
        "backbones": ["torchvision"],  # Table 6's other semantics branches
        "test": [
            "colcon-common-extensions",
            "colcon-ros",
            "cuda-bindings",
            "distributed",
            "hypothesis",
            "import-linter==2.15",  # the layers in pyproject.toml; the last for Python 3.10
            "matplotlib",
            "mcap",
            "mypy",
            "nvidia-cuda-nvrtc",  # compiles our kernels without a GPU
            "psutil",
            "pytest",
            "pytest-timeout",
            "pytest-xdist>=3.8",  # the first with --no-loadscope-reorder
            "rosbags>=0.11",
            "ruff",
            "setuptools>=70.1",  # the first that builds wheels alone; colcon keeps it below 80
            "tensorrt-rtx",  # builds plans without a GPU
        ],
    },
    entry_points={
        "console_scripts": [
            "segmentation_node = bisenet_ros.node.__main__:main",
            "bisenet = bisenet_ros.cli:main",
        ],
        # `bisenet make-bag camvid:/data/camvid` opens data sets by this; bisenet_ros does not import bisenet_training.
        "bisenet.data_sets": ["open = bisenet_training.data.find_dataset:open_dataset"],
        "bisenet.commands": [
            *command_entry_points("bisenet_ros", "bisenet_ros/commands"),
            *command_entry_points("bisenet_training", "training/bisenet_training/commands"),
        ],
    },
    zip_safe=True,
)
