"""The node with the stub in the place of its engine, as a process."""

from __future__ import annotations

import sys

from bisenet_ros.node.benchmark.processes.stub_engine import load_stub
from bisenet_ros.node.run_node import run_node

if __name__ == "__main__":
    sys.exit(run_node(load=load_stub))
