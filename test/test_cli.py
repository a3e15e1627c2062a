"""The `bisenet` command itself."""

from __future__ import annotations

import subprocess
import sys

from bisenet_ros.cli import COMMANDS, main


def test_help_names_every_command(capsys):
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name}" in printed for name in COMMANDS)


def test_unknown_command(capsys):
    assert main(["fly"]) == 1
    assert f"expected one of the commands {', '.join(COMMANDS)}, got 'fly'" in capsys.readouterr().err


def test_a_missing_training_library_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for module in [name for name in sys.modules if name.startswith("bisenet_training.analysis.complexity")]:
        monkeypatch.delitem(sys.modules, module)
    assert main(["complexity"]) == 1
    assert "needs the Python package 'torch'" in capsys.readouterr().err


def test_engines_and_card_need_no_torch():
    """A vehicle has none; importing what runs there must not ask for it."""
    code = "import sys; import bisenet_ros.engines, bisenet_ros.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_node_without_ros_says_what_to_install():
    code = "import sys; sys.modules['rclpy'] = None; from bisenet_ros.node.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "needs the Python package 'rclpy'" in done.stderr and "Traceback" not in done.stderr
