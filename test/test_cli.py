# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The `bisenet` command itself, run as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

import bisenet_ros
from bisenet_ros import cli
from bisenet_ros.cli import find_commands, main
from bisenet_ros.errors import BisenetError

ROOT = Path(__file__).parents[1]
EXTRAS = {
    "torch",
    "lightning",
    "tensorboard",
    "pydantic",
    "tqdm",
    "rich",
    "scipy",
    "jinja2",
    "matplotlib",
    "psutil",
    "rosbags",
    "openvino",
    "tensorrt",
    "tensorrt_rtx",
    "cuda",
    "rclpy",
    "torchvision",
}
"""What the extras of setup.py bring."""
WITHOUT_EXTRAS = f"""
import sys
for name in {sorted(EXTRAS)!r}:
    sys.modules[name] = None
from bisenet_ros.cli import find_commands, main
"""


def run(*words: str, program: str = "from bisenet_ros.cli import main; import sys; sys.exit(main(sys.argv[1:]))"):
    return subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, errors="surrogateescape", cwd=ROOT
    )


@pytest.fixture
def command(monkeypatch):
    """The command `try`, whose `run` is given."""

    def make(function) -> None:
        module = ModuleType("try_command", "Do something for a test.\n\nAt length.")
        module.EXTRA = "test"
        module.add_arguments = lambda parser: parser.add_argument("words", nargs="*")
        module.run = function

        class Point:
            name = "try"

            def load(self):
                return module

        monkeypatch.setattr(cli, "find_commands", lambda: {"try": Point()})

    return make


def test_every_command_file_is_a_command():
    folders = (ROOT / "bisenet_ros" / "commands", ROOT / "training" / "bisenet_training" / "commands")
    files = {path.stem for folder in folders for path in folder.glob("[a-z]*.py")}
    assert files == {re.sub("[ -]", "_", name) for name in find_commands()}
    assert {"benchmark", "benchmark node", "build-engine", "train"} <= set(find_commands())


def test_help_has_a_line_for_every_command_and_needs_no_extra():
    done = run("--help", program=f"{WITHOUT_EXTRAS}sys.exit(main(sys.argv[1:]))")
    assert done.returncode == 0, done.stderr
    told = dict(re.findall(r"^  (\S+(?: \S+)?)  +(.+)$", done.stdout, re.MULTILINE))
    assert set(told) == set(find_commands())
    assert all(10 < len(text) < 100 and "`bisenet" not in text for text in told.values())
    assert run().stdout == done.stdout


HELP_OF_EACH = """
from contextlib import suppress
for name in find_commands():
    with suppress(SystemExit):
        main([*name.split(), "--help"])
"""


def test_a_command_s_help_needs_no_extra():
    done = run(program=WITHOUT_EXTRAS + HELP_OF_EACH)
    assert done.returncode == 0 and not done.stderr, done.stderr
    helped = re.findall(r"^usage: bisenet (\S+(?: [a-z]\S*)?) ", done.stdout, re.MULTILINE)
    assert helped == list(find_commands())


def test_the_version():
    assert run("--version").stdout == f"bisenet {bisenet_ros.__version__}\n"


@pytest.mark.parametrize("word", ["fly", "benchmark-node"])
def test_unknown_command(capsys, word):
    assert main([word]) == 1
    assert f"expected one of the commands {', '.join(find_commands())}, got '{word}'" in capsys.readouterr().err


def test_a_name_of_two_words_comes_before_one_of_one(capsys):
    for words, usage in ((["benchmark"], "bisenet benchmark "), (["benchmark", "node"], "bisenet benchmark node ")):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert f"usage: {usage}" in capsys.readouterr().out


MAKE_BAG = ("make-bag", "images", "-o", "bag")
EVALUATE = ("evaluate-bag", "bag", "--model", "m.onnx", "-o", "out", "--through-node")


@pytest.mark.parametrize("text", ("abc", "nan", "-1", "1e9"))
@pytest.mark.parametrize(
    "words, expected",
    [
        ((*MAKE_BAG, "--rate"), "a number above 0 and below 10000"),
        ((*MAKE_BAG, "--fov"), "degrees above 0 and below 180"),
        ((*EVALUATE, "--rate"), "a pace above 0 (at most 100)"),
        (("segment", "images", "-o", "out", "--min-confidence"), "a confidence of 0 to 1"),
        (("quantize", "m.onnx", "--calibration", "images", "--same-class"), "0 to 100 per cent"),
    ],
)
def test_a_number_that_cannot_be_is_told_with_what_is_expected(words, expected, text, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([*words[:-1], f"{words[-1]}={text}"])
    assert f"argument {words[-1]}: expected {expected}, got '{text}'" in capsys.readouterr().err


def test_a_users_error_is_one_line(command, capsys):
    for error in (BisenetError("expected bread, got stone"), FileNotFoundError("expected bread, got stone")):

        def fail(arguments, error=error):
            raise error

        command(fail)
        assert main(["try"]) == 1
        assert capsys.readouterr().err == "bisenet: error: expected bread, got stone\n"


def test_names_of_a_bag_do_not_control_the_terminal(command, capsys):
    def fail(arguments):
        raise BisenetError("no topic /x\x1b[31m\x07 in\nthe b\u00e4g \udcff")

    command(fail)
    assert main(["try"]) == 1
    assert capsys.readouterr().err == "bisenet: error: no topic /x\\x1b[31m\\x07 in\nthe b\u00e4g \\udcff\n"


def test_an_error_of_the_system_names_the_file_without_a_number(command, tmp_path, capsys):
    for name, words in (("none", "No such file or directory"), ("", "Is a directory")):
        command(lambda arguments, name=name: (tmp_path / name).read_bytes())
        assert main(["try"]) == 1
        assert capsys.readouterr().err == f"bisenet: error: {tmp_path / name}: {words}\n"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("a bug"), RuntimeError("a bug")])
def test_any_other_error_shows_its_traceback(command, error):
    def fail(arguments):
        raise error

    command(fail)
    with pytest.raises(type(error), match="a bug"):
        main(["try"])


def test_a_missing_package_is_named_with_the_extra_that_brings_it(command, capsys, monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)

    def fail(arguments):
        import no_such_package  # noqa: F401

    command(fail)
    assert main(["try"]) == 1
    error = capsys.readouterr().err
    assert "`bisenet try` needs the Python package 'no_such_package'" in error and "pip install '.[test]'" in error


def test_a_missing_module_of_ours_is_a_bug(command):
    def fail(arguments):
        import bisenet_ros.no_such_module  # noqa: F401

    command(fail)
    with pytest.raises(ModuleNotFoundError):
        main(["try"])


def test_an_interrupted_command_ends_without_a_traceback(command, capsys):
    def interrupt(arguments):
        raise KeyboardInterrupt

    command(interrupt)
    assert main(["try"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_sigterm_ends_a_command_as_an_exception_does(command):
    """Finally and `with` blocks are run, which end processes and remove what is unfinished."""
    ended = []

    def work(arguments):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            ended.append(True)

    command(work)
    with pytest.raises(SystemExit) as raised:
        main(["try"])
    assert raised.value.code == 143 and ended and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_sigterm_that_is_there_stays(command):
    handlers = []
    command(lambda arguments: handlers.append(signal.getsignal(signal.SIGTERM)) or 0)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert main(["try"]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    thread = threading.Thread(target=main, args=(["try"],))
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_IGN, signal.SIG_DFL]


def test_a_reader_that_ends_early_is_no_error():
    """As in `bisenet ... | head -1`, with more text than a pipe holds."""
    program = (
        "import sys\nfrom bisenet_ros import cli\ncli._usage = lambda commands: 'x\\n' * 500_000\ncli.main(['-h'])"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"x\n"
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("words", (["--help"], ["--version"]))
@pytest.mark.parametrize("target, code", ((">&-", 0), (">/dev/full", 1)))
def test_a_stdout_that_cannot_be_written_is_no_traceback(words, target, code):
    program = f"exec {sys.executable} -m bisenet_ros.cli {' '.join(words)} {target}"
    done = subprocess.run(["sh", "-c", program], stderr=subprocess.PIPE, cwd=ROOT)
    told = b"" if code == 0 else b"bisenet: error: stdout cannot be written: No space left on device\n"
    assert done.returncode == code and told in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ("2>&-", ">&- 2>&-", "<&- >&- 2>&-"))
def test_what_is_written_where_streams_are_closed_goes_to_files_alone(tmp_path, closed):
    """A file would be opened as number 2, and a child process without stderr cannot print."""
    program = f"""
import subprocess, sys
from tqdm import tqdm
from bisenet_ros import cli

def work(commands):
    with open({str(tmp_path / "data")!r}, "w") as file:
        for number in tqdm(range(3), disable=None):
            print("to stderr", file=sys.stderr)
            subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('of a child')"], check=True)
            file.write(str(number))
    return "done"

cli._usage = work
sys.exit(cli.main(["-h"]))
"""
    subprocess.run(["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program], cwd=ROOT, check=True)
    assert (tmp_path / "data").read_text() == "012"


def test_names_that_are_no_utf8_are_escaped_in_messages():
    name = os.fsdecode(b"stra\xdfe.onnx")
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "bisenet_ros.cli", "benchmark", name], capture_output=True, env=environment, cwd=ROOT
    )
    assert done.returncode == 1
    assert b"stra\\udcdfe.onnx, found none" in done.stderr and b"Traceback" not in done.stderr


def test_what_runs_on_a_vehicle_needs_no_torch():
    code = "import sys; import bisenet_ros.engines, bisenet_ros.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_node_without_ros_says_what_to_install():
    code = "import sys; sys.modules['rclpy'] = None; from bisenet_ros.node.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "needs the Python package 'rclpy'" in done.stderr and "Traceback" not in done.stderr


def test_evaluate_bag_is_one_word_and_benchmark_node_two():
    assert {"evaluate", "evaluate-bag", "benchmark node"} <= find_commands().keys()
