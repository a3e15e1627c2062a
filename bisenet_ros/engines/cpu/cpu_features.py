"""What this machine's CPU can do."""

from pathlib import Path
from typing import Set


def cpu_flags() -> Set[str]:
    """The instruction set extensions by the kernel's names, such as "avx512_bf16"; empty where it does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def computes_in_bf16() -> bool:
    """Whether the CPU has bf16 instructions; libraries emulate it, slowly, where it has not."""
    return not cpu_flags().isdisjoint({"amx_bf16", "avx512_bf16"})
