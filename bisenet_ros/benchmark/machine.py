# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The machine that a benchmark runs on: hardware, clocks, versions, load."""

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Dict, Optional

from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.engines.precision import cpu_flags
from bisenet_ros.files.installed_package import installed_version

PACKAGES = ("numpy", "numba", "openvino", "onnxruntime", "tensorrt", "tensorrt-rtx", "torch", "cuda-bindings", "pycuda")
CPU_FOLDER = Path("/sys/devices/system/cpu/cpu0/cpufreq")
GPU_FACTS = {
    "GPU": "name",
    "GPU driver": "driver_version",
    "GPU clock (graphics)": "clocks.gr",
    "GPU clock (graphics, highest)": "clocks.max.gr",
    "GPU clock (memory)": "clocks.mem",
    "GPU power limit": "power.limit",
}
"""The first GPU's properties, by the names of nvidia-smi --query-gpu."""
INSTRUCTIONS = (
    *("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm"),
)
"""Of x86 and of ARM, those that a network is faster by; two CPUs of one name may differ in them."""
IDLE_LOAD = 0.25
"""Load average per core up to which the machine is taken to have nothing else to do."""


def describe_machine() -> Dict[str, str]:
    """Names and values for people: hardware, its clocks at this moment, versions. What cannot be read is left out."""
    clock, flags = _cpuinfo("cpu MHz"), cpu_flags()
    facts = {
        "board": _read(Path("/proc/device-tree/model")),
        "CPU": _cpu_name(),
        "instructions": " ".join(it for it in INSTRUCTIONS if it in flags),
        "cores": _cores(),
        "CPU clock": clock and f"{float(clock):.0f} MHz",
        "CPU frequency governor": _read(CPU_FOLDER / "scaling_governor") or "not readable",
        **_describe_gpu(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": platform.python_version(),
        **{package: installed_version(package) for package in PACKAGES},
    }
    return {name: value for name, value in facts.items() if value}


def describe_cpu() -> str:
    """The CPU's name and how many of its cores may be used, in one line."""
    return f"{_cpu_name()}, cores: {_cores()}"


def describe_load(load: float, *, cores: int) -> str:
    """The load average as text, and what it means for the numbers."""
    text = f"{load:.1f} on {cores} cores"
    if load <= IDLE_LOAD * cores:
        return text
    return f"{text}: other programs were running; only CPU ms can be relied on"


def _describe_gpu() -> Dict[str, Optional[str]]:
    if not shutil.which("nvidia-smi"):
        return {}
    query = ["nvidia-smi", f"--query-gpu={','.join(GPU_FACTS.values())}", "--format=csv,noheader", "--id=0"]
    try:
        answer = subprocess.run(query, stdout=subprocess.PIPE, timeout=20, check=True).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        return {"GPU": "nvidia-smi does not answer"}
    return dict(zip(GPU_FACTS, (value.strip() for value in answer.split(","))))


def _cpu_name() -> str:
    return _cpuinfo("model name") or platform.machine()


def _cores() -> str:
    return f"{usable_cores()} usable of {os.cpu_count()}"


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text().strip("\0\n ")
    except OSError:
        return None


def _cpuinfo(key: str) -> Optional[str]:
    """An entry of /proc/cpuinfo for the first core; None where there is none."""
    lines = (line.partition(":") for line in (_read(Path("/proc/cpuinfo")) or "").splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), None)
