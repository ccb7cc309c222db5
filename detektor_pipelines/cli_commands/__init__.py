"""The commands of `detektor`, one module a group, each with `register(app)`.

They read options, call the layers below and print; what computes does not belong here. Only light imports at the top (see `cli`).
"""
