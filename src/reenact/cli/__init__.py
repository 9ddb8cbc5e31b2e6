"""The command line: words in, text or JSON out, an exit status. No rules of its own; every verb calls one action."""
