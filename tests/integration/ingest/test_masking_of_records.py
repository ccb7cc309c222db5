from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import psycopg
from support.log_rows import *  # noqa: F403

from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.ingest.masking import KEY_FILE, Masker, key_of, pseudonym
from detektor_pipelines.ingest.run import ingest
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings
