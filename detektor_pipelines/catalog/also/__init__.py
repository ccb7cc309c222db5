"""Catalogues that come with the package and are off by default: directories with a `detektor.toml` and a `catalog/` of view files.

`[catalog] also = ["NAME"]` in one's own detektor.toml, or DETEKTOR_EXTRA_VIEWS=NAME, switches one on. Belongs here: views that not
everybody wants, in the form that a catalogue of one's own has (`own_catalog`). Does not belong here: the eight.
"""
