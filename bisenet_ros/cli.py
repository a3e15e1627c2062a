# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The `bisenet` command: its subcommands are the entry points of the group "bisenet.commands".

A subcommand is a module with `add_arguments(parser)`, `run(arguments) -> exit code` and `EXTRA`, the extra of setup.py
that brings the packages it needs. It imports those in `run`, so that `bisenet COMMAND --help` works without them. The
first line of its docstring is its line in the help. The entry point "benchmark-node" is the command `benchmark node`;
"evaluate-bag" is one word.
"""

import argparse
import io
import os
import signal
import sys
import threading
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any, Dict, Iterator, List, Optional

import bisenet_ros
from bisenet_ros.commands._messages import print_error
from bisenet_ros.errors import BROKEN_PIPE, INTERRUPTED, TERMINATED, BisenetError
from bisenet_ros.files.missing_package import how_to_install

GROUP = "bisenet.commands"
FIRST_WORDS = ("benchmark",)
"""First words of commands of two words."""


def main(argv: Optional[List[str]] = None) -> int:
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be no UTF-8
    try:
        try:
            with _exit_on_sigterm():
                return _main((sys.argv[1:] if argv is None else argv) or ["--help"])
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # of stdout: its reader has ended, as `head` does, or its disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        return _fail(f"stdout cannot be written: {_describe(error)}")


def _open_closed_streams() -> None:
    """Opens /dev/null as stdin, stdout and stderr where they are closed: a file of data would take their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # takes the lowest number that is free, which is its own
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as an exception, so that its processes end too, unless somebody handles it already."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # no other one may set a handler
    if not in_main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _main(words: List[str]) -> int:
    commands = find_commands()
    if words[0] in ("-h", "--help"):
        print(_usage(commands))
        return 0
    if words[0] == "--version":
        print(f"bisenet {bisenet_ros.__version__}")
        return 0
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in commands:
            return _run(name, commands[name].load(), words[length:])
    return _fail(f"expected one of the commands {', '.join(commands)}, got {words[0]!r}")


def find_commands() -> Dict[str, metadata.EntryPoint]:
    """The subcommands of every installed package by name, such as "benchmark" and "benchmark node", sorted."""
    points: Any = metadata.entry_points()
    # Python before 3.10 has a dict of groups.
    group = points.select(group=GROUP) if hasattr(points, "select") else points.get(GROUP, [])

    def words(name: str) -> str:
        first, dash, second = name.partition("-")
        return f"{first} {second}" if dash and first in FIRST_WORDS else name

    return {words(point.name): point for point in sorted(group, key=lambda point: point.name)}


def _run(name: str, command: ModuleType, words: List[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"bisenet {name}", description=_summary(command))
    command.add_arguments(parser)
    arguments = parser.parse_intermixed_args(words)
    try:
        return command.run(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("bisenet_ros", "bisenet_training"):
            raise
        return _fail(
            f"`bisenet {name}` needs the Python package {error.name!r}, which is not installed; "
            f"{how_to_install(error.name or '', extra=command.EXTRA)}"
        )
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(_describe(error))
    except BisenetError as error:
        return _fail(str(error))


def _usage(commands: Dict[str, metadata.EntryPoint]) -> str:
    modules = {name: point.load() for name, point in commands.items()}
    widest = max(map(len, modules), default=0)
    lines = [f"  {name:<{widest}}  {_summary(module)}" for name, module in modules.items()]
    head = ["usage: bisenet COMMAND ...", "       bisenet --version", ""]
    return "\n".join([*head, *lines, "", "`bisenet COMMAND --help` shows the options of a command."])


def _summary(command: ModuleType) -> str:
    return (command.__doc__ or "").strip().splitlines()[0].rstrip(".")


def _describe(error: OSError) -> str:
    """The file and what is wrong with it, without the system's number."""
    if not error.strerror:  # one of ours
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _fail(message: str) -> int:
    print_error(message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
