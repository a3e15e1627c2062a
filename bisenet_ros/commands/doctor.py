# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Show what this machine has for the node, and which device it would take."""

import argparse
from pathlib import Path

import bisenet_ros
from bisenet_ros.engines.loader import DEVICES
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file

EXTRA = "openvino"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{__doc__} The exit code is 0 if the device works, and 1 if not."
    parser.add_argument("--device", choices=DEVICES, default="auto", help="the device that must work")
    parser.add_argument("--model", type=Path, metavar="MODEL.onnx", help="a model file; by default the shipped one")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.benchmark.machine import describe_machine
    from bisenet_ros.engines import load_engine
    from bisenet_ros.engines.gpu_check import examine_gpu
    from bisenet_ros.engines.precision import describe_instructions
    from bisenet_ros.node.ros_environment import describe_ros

    for title, facts in (
        (f"bisenet_ros {bisenet_ros.__version__}", describe_machine()),
        ("ROS 2", describe_ros()),
        ("device cpu", describe_instructions()),
        ("device cuda", examine_gpu()),
    ):
        print(title)
        for name, value in facts.items():
            print(f"  {name}: {value}")
    print(f"device {arguments.device}", flush=True)
    engine = load_engine(arguments.model or package_file(SHIPPED_MODEL), device=arguments.device)
    reason = f" ({engine.precision_reason})" if engine.precision_reason else ""
    print(f"  works: {engine.description}{reason}")
    engine.close()
    return 0
