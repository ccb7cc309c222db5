"""Work that is not part of a coding task: faults, pipeline faults, sweeps of the documents, advice, research packs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.simulation.blocks import MS, Block, Category, Scene, counts, feedback, masked, outcome, run, sigmoid
from detektor_pipelines.simulation.draws import Draws, child

if TYPE_CHECKING:
    from detektor_pipelines.simulation.arrays import Ints, Keys

_DOC_KINDS: Final = ("readme", "api", "guide", "architecture", "changelog", "other")
_DOC_KIND_SHARES: Final = (0.22, 0.2, 0.25, 0.1, 0.15, 0.08)
_PRIORITIES: Final = ("high", "medium", "low")
_RECOMMENDATIONS: Final = ("refactor", "leave", "extract", "redesign")
_PATTERNS: Final = ("adapter", "event_sourcing", "facade", "observer", "pipeline", "repository", "state_machine", "strategy")
_PATTERN_SHARES: Final = (0.17, 0.06, 0.12, 0.13, 0.19, 0.14, 0.09, 0.1)
_CAUSES: Final = ("code", "config", "dependency", "data", "infrastructure", "unknown")
_RESOLUTIONS: Final = ("fix", "restart", "rollback", "none")
_STAGES: Final = ("rtsp", "redis", "frame_buffer", "processor")
_TOPICS: Final = (
    "privacy by design", "edge inference", "false alarms", "camera onboarding", "night vision", "customer story",
    "open standards", "model updates", "operator training", "release notes", "people behind it", "traffic safety",
)  # fmt: skip
_EVEN: Final = tuple([1 / len(_TOPICS)] * len(_TOPICS))


def documentation(keys: Keys, scene: Scene, start: Ints, code_changed: Ints | None) -> list[Block]:
    """Compare documents with the code; what is behind is changed, or missed."""
    draws = Draws(keys)
    checked = 1 + counts(draws, "checked", 5.0)
    behind = np.minimum(counts(draws, "behind", 1.4 * np.exp(-0.15 * scene.care)), checked)
    missed = np.minimum(counts(draws, "missed", 0.55 * np.exp(-0.5 * scene.craft)), checked)
    updated = np.maximum(behind - missed, 0)
    high = sigmoid(-1.1 + 0.8 * (behind > 2) + 0.5 * scene.incident)  # noqa: PLR2004  three documents behind is much
    priority = np.where(draws.chance("high", high), 0, np.where(draws.chance("medium", 0.6), 1, 2))
    work = run(
        "document",
        "documentation-keeper",
        keys,
        scene,
        start,
        slower=0.1 * (updated - 1.0),
        measures={
            "docs_checked": checked,
            "docs_in_sync": checked - missed,
            "docs_updated": updated,
            "lines_added": updated * counts(draws, "added", 14.0),
            "lines_removed": updated * counts(draws, "removed", 6.0),
        },
        categories={
            "outcome": outcome(draws.chance("finished", 0.97)),
            "doc_kind": Category(draws.pick("doc kind", _DOC_KIND_SHARES), _DOC_KINDS),
            "priority": Category(priority, _PRIORITIES),
        },
    )
    if code_changed is not None:
        work.measures["sync_lag_ms"] = masked((work.end - code_changed) // MS, updated > 0)
    quality = 0.5 * scene.craft + 0.6 - 0.6 * (missed > 0)
    return [work, feedback(work, 0.25, quality)]


def sweeps(scene: Scene) -> list[Block]:
    """The documentation-keeper's own rounds."""
    return documentation(child(scene.keys, 0, "document"), scene, scene.start, None)


def advice(scene: Scene) -> list[Block]:
    """The architecture-advisor is asked about a part of the code."""
    keys = child(scene.keys, 0, "advise")
    draws = Draws(keys)
    coupling = np.rint(1_000 * sigmoid(-0.3 - 0.45 * scene.stability + 0.7 * draws.normal("coupling"))).astype(np.int64)
    logit = -0.4 + 3.0 * (coupling / 1_000 - 0.45)
    change = draws.chance("change", sigmoid(logit))
    recommendation = np.where(change, np.asarray((0, 2, 3))[draws.pick("which", (0.55, 0.3, 0.15))], 1)
    confidence = np.rint(1_000 * sigmoid(1.0 + 0.35 * scene.craft + 0.6 * draws.normal("confidence"))).astype(np.int64)
    work = run(
        "advise",
        "architecture-advisor",
        keys,
        scene,
        scene.start,
        measures={
            "options_considered": 1 + counts(draws, "options", 1.9),
            "components_affected": counts(draws, "components", 1 + 5.0 * coupling / 1_000),
            "coupling_milli": masked(coupling, draws.chance("measured", 0.85)),
            "confidence_milli": confidence,
        },
        categories={
            "outcome": outcome(draws.chance("finished", 0.98)),
            "recommendation": Category(recommendation, _RECOMMENDATIONS),
            "pattern": Category(draws.pick("pattern", _PATTERN_SHARES), _PATTERNS).where(change | draws.chance("named", 0.3)),
        },
    )
    quality = 0.5 * scene.craft + 0.9 * (confidence / 1_000 - 0.6) - 0.2 * change
    return [work, feedback(work, 0.5, quality)]


def faults(scene: Scene) -> list[Block]:
    """Something that runs misbehaves, and the debugger looks."""
    return diagnosis("debugger", child(scene.keys, 0, "diagnose"), scene, scene.start)


def pipeline_faults(scene: Scene) -> list[Block]:
    """Frames stop arriving, and the pipeline-debugger looks."""
    return diagnosis("pipeline-debugger", child(scene.keys, 0, "diagnose"), scene, scene.start)


def diagnosis(agent: str, keys: Keys, scene: Scene, start: Ints) -> list[Block]:
    """Hypotheses until one holds, or until a restart has to do."""
    draws = Draws(keys)
    obscurity = draws.normal("obscurity") - 0.4 * scene.craft
    tried = 1 + counts(draws, "hypotheses", 1.1 * np.exp(0.35 * obscurity + 0.3 * scene.incident))
    unknown = draws.chance("unknown", sigmoid(-2.2 + 0.8 * obscurity + 0.7 * scene.incident))
    cause = np.where(unknown, 5, draws.pick("cause", (0.38, 0.22, 0.14, 0.1, 0.16)))
    found = np.asarray((0.66, 0.24, 0.08, 0.02))
    given_up = np.asarray((0.08, 0.6, 0.12, 0.2))
    resolution = np.where(unknown, draws.pick("resolution", given_up.tolist()), draws.pick("resolution", found.tolist()))
    confidence = np.rint(1_000 * sigmoid(1.1 - 0.5 * obscurity - 1.6 * unknown + 0.4 * draws.normal("confidence"))).astype(np.int64)
    severity = draws.normal("severity") - 0.5 * scene.stability
    measures = {
        "hypotheses": tried,
        "components_affected": 1 + counts(draws, "components", 0.8 * np.exp(0.3 * severity)),
        "confidence_milli": confidence,
    }
    categories = {
        "outcome": outcome(resolution != _RESOLUTIONS.index("none")),
        "root_cause": Category(cause, _CAUSES),
        "resolution": Category(resolution, _RESOLUTIONS),
    }
    if agent == "pipeline-debugger":
        measures |= {
            "frames_dropped": draws.lognormal("frames", 400 * np.exp(0.8 * severity), 1.3).clip(0, 500_000_000).astype(np.int64),
            "stage_latency_ms": draws.lognormal("latency", 450 * np.exp(0.5 * severity), 1.0).clip(1, 3_600_000).astype(np.int64),
            "queue_depth": draws.lognormal("queue", 120 * np.exp(0.6 * severity), 1.2).clip(0, 500_000_000).astype(np.int64),
        }
        upstream = draws.chance("upstream", sigmoid(0.2 - 0.4 * scene.stability))
        stage = np.where(upstream, draws.pick("early stage", (0.68, 0.32)), 2 + draws.pick("late stage", (0.42, 0.58)))
        categories["stage"] = Category(stage, _STAGES).where(draws.chance("blamed", 0.93))
    work = run("diagnose", agent, keys, scene, start, slower=0.25 * obscurity, measures=measures, categories=categories)
    quality = 0.45 * scene.craft - 0.35 * obscurity + 0.3 - 0.7 * unknown
    return [work, feedback(work, 0.4, quality)]


def research(scene: Scene) -> list[Block]:
    """Pisarz collects what is worth telling about a topic."""
    keys = child(scene.keys, 0, "research")
    draws = Draws(keys)
    found = 3 + counts(draws, "found", 11.0)
    cited = np.minimum(1 + counts(draws, "cited", 4.2 * np.exp(0.2 * scene.craft)), found)
    checked = counts(draws, "claims", 7.0)
    rejected = np.minimum(counts(draws, "rejected", 0.55 * np.exp(-0.4 * scene.craft)), checked)
    success = draws.chance("finished", sigmoid(3.0 + 0.5 * scene.craft))
    work = run(
        "research",
        "pisarz",
        keys,
        scene,
        scene.start,
        measures={"sources_found": found, "sources_cited": cited, "claims_checked": checked, "claims_rejected": rejected},
        categories={"outcome": outcome(success), "topic": Category(draws.pick("topic", _EVEN), _TOPICS)},
    )
    quality = 0.6 * scene.craft + 0.1 * (cited - 4.0) / 2 - 0.2 * rejected + np.where(success, 0.2, -0.8)
    return [work, feedback(work, 0.6, quality)]
