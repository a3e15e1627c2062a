"""Reads the node's account of itself from its diagnostics."""

from __future__ import annotations

from typing import Dict, List, Mapping

from bisenet_ros.node.benchmark.segment import NodeCounts

Statuses = Mapping[str, Mapping[str, str]]
"""Values by key, by the status's name."""

REASONS = ("dropped", "skipped", "failed")
"""How the counts of frames that were not published begin; skipped_REASON are parts of skipped."""


def is_at_rest(statuses: Statuses) -> bool:
    """Whether every frame received has its outcome."""
    return all(
        int(values["received"]) == int(values["published"]) + sum(_lost(values).values())
        for values in _cameras(statuses)
    )


def difference(before: Statuses, after: Statuses) -> NodeCounts:
    """What the node counted between two of its messages, all cameras together; times as of the second."""
    cameras = _cameras(after)
    reasons = {reason for values in cameras for reason in _lost(values)}

    def grown(key: str) -> int:
        count = (sum(int(values.get(key, 0)) for values in _cameras(statuses)) for statuses in (after, before))
        return next(count) - next(count)

    names = [key for values in cameras for key in values if key.endswith(("_p50_ms", "_p99_ms"))]
    return NodeCounts(
        received=grown("received"),
        published=grown("published"),
        lost={reason: grown(reason) for reason in sorted(reasons)},
        times={
            name: round(max(float(values[name]) for values in cameras if name in values), 3)
            for name in dict.fromkeys(names)
        },
        engine=next((values["engine"] for values in after.values() if "engine" in values), ""),
    )


def _cameras(statuses: Statuses) -> List[Mapping[str, str]]:
    return [values for values in statuses.values() if "received" in values]


def _lost(values: Mapping[str, str]) -> Dict[str, int]:
    return {
        key: int(value) for key, value in values.items() if key.startswith(REASONS) and not key.startswith("skipped_")
    }
