"""What starts runs by itself when something has happened, and what tells people of it.

Belongs here: a module for each sensor; `bounds` is how often one may try the same again. Does not belong here: what goes by the clock
(`orchestration.schedules`).

No sensor finds its work by a cursor or a run key: each asks, every time, what the stores say is behind. So whatever was lost (a run that
failed, a daemon that was killed between asking and launching, an event that came while a run was under way) is behind still at the next
tick. A cursor holds only what people were told already.
"""

from detektor_pipelines.orchestration.sensors.failures import run_failed
from detektor_pipelines.orchestration.sensors.late_data import repair_late_data
from detektor_pipelines.orchestration.sensors.online import publish_online
from detektor_pipelines.orchestration.sensors.versions import definition_changed

__all__ = ["definition_changed", "publish_online", "repair_late_data", "run_failed"]
