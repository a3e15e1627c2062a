"""The bare echo: a node that publishes every image it receives again, as it is.

It shows what the way of an image through two processes and one callback takes, whatever is done with the image.
"""

from __future__ import annotations

import sys
from typing import Any, Callable

from bisenet_ros.node.benchmark.compared_pipeline import ComparedPipeline, run_pipeline
from bisenet_ros.node.driver.topics import ECHO


class EchoPipeline(ComparedPipeline):
    name = "echo"

    def make_callback(self, camera: str) -> Callable[[Any], None]:
        return self.create_output(camera, ECHO).publish


if __name__ == "__main__":
    sys.exit(run_pipeline(EchoPipeline))
