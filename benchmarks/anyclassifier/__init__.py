"""Any classifier: every table and figure of ``docs/any-classifier.md``."""
