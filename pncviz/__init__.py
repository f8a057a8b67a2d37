"""Say what a classifier learnt about each class.

::

    data ──► model ──► synthesis ──► pattern ─┐
      │                                       ├──► labelled dataset ──► comparison ──► display
      └────────────────────────► contrast ────┘

Names are loaded on first use, so importing pncviz costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
