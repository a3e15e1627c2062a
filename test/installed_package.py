# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Installs the package as users do, by pip or colcon, into a folder of the test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

from bisenet_ros.node.fastdds import PROFILE_VARIABLES, TRANSPORTS_VARIABLE
from bisenet_ros.node.restart import EXIT_CODE, FAULT_LOG

ROOT = Path(__file__).parents[1]
NODE = "lib/bisenet_ros/segmentation_node"
PATIENCE = 120.0
"""Seconds until a command counts as hung."""
ROS2_LAUNCH = (
    sys.executable,
    "-c",
    "import sys; from ros2cli.cli import main; sys.exit(main())",
    "launch",
    "bisenet_ros",
)
COLCON = "import sys; from colcon_core.command import main; sys.exit(main())"
FAILS_ONCE = f"""\
#!/bin/sh
started="started_$(echo "$@" | grep -o "__ns:=[^ ]*" | tr -c "a-z0-9\\n" _)"
if [ ! -e "$started" ]; then
  touch "$started"
  echo "the GPU answers CUDA_ERROR_OF_THIS_TEST" >> "${FAULT_LOG}"
  exit {EXIT_CODE}
fi
exec "$(dirname "$0")/../../bin/segmentation_node" "$@"
"""
NOT_SOURCES = (".*", "__pycache__", "*.egg-info", "build", "install", "log", "runs", "demo_output")


@dataclass(frozen=True)
class Installation:
    """Where the package is, and the environment of a user who has set it up."""

    folder: Path
    prefix: Path
    environment: Dict[str, str]

    def run(self, *command: str) -> str:
        """What a command prints, run in a folder without a checkout."""
        return run(list(command), folder=self.folder, environment=self.environment)

    @contextlib.contextmanager
    def start(self, *command: str, **environment: str) -> Iterator[Process]:
        """A command in the background, ended at the latest with the `with` block."""
        process = Process(list(command), folder=self.folder, environment={**self.environment, **environment})
        try:
            yield process
        finally:
            process.kill()
            print(process.output)  # pytest shows it beside a failure


class Process:
    """A process in a session of its own, which writes into a file."""

    def __init__(self, command: List[str], *, folder: Path, environment: Dict[str, str]) -> None:
        self._log = folder / "output.txt"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def interrupt(self) -> int:
        """Sends SIGINT; the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def failing_once(installation: Installation) -> Iterator[None]:
    """The installed node ends at its first start in each namespace, as after a GPU fault that needs a new process."""
    program = installation.prefix / NODE
    content = program.read_bytes()
    program.write_text(FAILS_ONCE)
    try:
        yield
    finally:
        program.write_bytes(content)
        for file in installation.folder.glob("started_*"):
            file.unlink()


def pip_install(folder: Path) -> Installation:
    """`pip install .` into a prefix, without the network."""
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-warn-script-location"]
    # Without --ignore-installed pip would first uninstall what the developer has in the environment.
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        "--ignore-installed",
        "--prefix",
        str(folder / "prefix"),
    ]
    environment = _clean_environment(folder)
    run([*command, "."], folder=_copy_sources(folder), environment=environment)
    # Debian's Python adds local/ to the prefix and calls site-packages dist-packages.
    prefix = next((folder / "prefix").rglob("share/bisenet_ros")).parents[1]
    packages = next(prefix.glob("lib/python3*/*-packages"))
    _prepend(environment, "PYTHONPATH", packages)
    _prepend(environment, "AMENT_PREFIX_PATH", prefix)
    return Installation(folder, prefix, environment)


def colcon_build(folder: Path, *builds: Sequence[str]) -> Installation:
    """`colcon build` with the options of each build in turn, then `source install/setup.bash`."""
    sources, environment = _copy_sources(folder), _clean_environment(folder)
    colcon = [sys.executable, "-c", COLCON, "--log-base", str(folder / "log")]
    kind = run([*colcon, "list"], folder=sources, environment=environment).split()[-1]
    assert kind == "(ros.ament_python)", f"colcon takes the package for {kind}; is package.xml valid?"
    for options in builds:
        run([*colcon, "build", *options], folder=sources, environment=environment)
    prefix = sources / "install" / "bisenet_ros"
    script = f". '{sources}/install/setup.bash' && env -0"
    sourced = run(["bash", "-c", script], folder=folder, environment=environment)
    return Installation(folder, prefix, dict(entry.split("=", 1) for entry in sourced.split("\0") if entry))


def colcon_test(installation: Installation, *pytest_arguments: str) -> str:
    """`colcon test` in the workspace that `colcon_build` has left; what it prints."""
    folder = installation.folder
    command = [sys.executable, "-c", COLCON, "--log-base", str(folder / "log"), "test", "--return-code-on-test-failure"]
    options = ["--event-handlers", "console_direct+", "--pytest-args", *pytest_arguments]
    return run([*command, *options], folder=folder / "sources", environment=installation.environment)


def run(command: List[str], *, folder: Path, environment: Dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def _copy_sources(folder: Path) -> Path:
    """A copy, since building writes beside setup.py."""
    return Path(shutil.copytree(ROOT, folder / "sources", ignore=shutil.ignore_patterns(*NOT_SOURCES)))


def _clean_environment(folder: Path) -> Dict[str, str]:
    """That of a user who has chosen nothing about DDS; ROS and launch write their logs into the folder."""
    chosen = (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE)
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    return {**environment, "ROS_LOG_DIR": str(folder / "ros_log")}


def _prepend(environment: Dict[str, str], name: str, path: Path) -> None:
    environment[name] = os.pathsep.join(filter(None, [str(path), environment.get(name)]))
