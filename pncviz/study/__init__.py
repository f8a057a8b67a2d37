"""Studies: dataset × architecture × optimizer × trainer × strategy × attack × seed, resumable.

::

    TOML ──► plan: cells and their keys ──► what is missing ──► work, in many processes
                                                                  │ one file each, then its line
    page ◄── table ◄── one labelled tree ◄── collect ◄────────────┘
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
