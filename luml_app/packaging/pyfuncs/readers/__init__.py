"""How each flavour is loaded and asked: one of these files is stored in every model, and imports alone there.

Each has ``load(file, config)``, where ``file(name)`` is the path of a stored file, and
``predict(model, native, config)``, which gives results by the name that an array among them shall have.
"""
