"""The Python API: `Client` and `AsyncClient`, objects that know what can be done with them, transfers."""
