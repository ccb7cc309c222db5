"""The commands of `detektor`, one module a group, each with `register(app)`; that is why there are more than fifteen.

Belongs here: options, calls to the layers below, tables and words for a person. Only light imports at the top (see `cli`). Does not belong
here: whatever computes, reads or writes.
"""

import sys

if sys.argv[:1] == ["-m"]:  # what Python has there while it looks for the module that `python -m` names
    sys.exit("The modules of detektor_pipelines.cli_commands are not programs. Run: python -m detektor_pipelines --help")
