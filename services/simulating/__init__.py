"""The two counterparties, for development and tests: a bank and an e-CNY operator.

Each is a process of its own with books of its own, which only its HTTP interface changes. Both are
our own inventions: no bank and no operator speaks like this.
"""
