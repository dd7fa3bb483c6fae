"""The commands, one file each. ``command(words)`` of a file is the command with the options that belong to these words.

A file imports nothing heavy before its command is made; what does the work (``experiments``) is imported when it is run.
"""
