"""Makes files ready for WhatsApp, in a throw-away process: decoders meet hostile files.

The package imports nothing of the project's other rooms and no Django; ``python -m media.converting`` is the process.
"""
