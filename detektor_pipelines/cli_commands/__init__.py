"""The commands of `detektor`, one module a group, each with `register(app)`.

They read options, call the layers below and print; what computes does not belong here. Only light imports at the top (see `cli`).
"""

import sys

if sys.argv[:1] == ["-m"]:  # what Python has there while it looks for the module that `python -m` names
    sys.exit("The modules of detektor_pipelines.cli_commands are no programs. Run: python -m detektor_pipelines --help")
