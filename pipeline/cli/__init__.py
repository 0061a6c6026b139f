"""The command line: words in, words out. It decides nothing, and is the only code that prints.

`main.py` reads a command line and turns what goes wrong into an exit code; the verbs stand by subject in the files beside it.
"""
