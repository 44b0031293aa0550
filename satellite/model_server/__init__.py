"""Serves one model over HTTP. Stands alone: it runs inside the model's own environment, which has no LUML in it.

Start it as `python <this folder> --model … --host … --port …`; nothing here imports from outside this folder except
uvloop, httptools, msgspec, numpy and fnnx, all of which the environment builder puts into every environment; and
pyarrow, where the model itself brings it.
"""
