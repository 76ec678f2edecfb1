"""What the lint rules share: the files of the tree, C without its comments,
and the way a break is told."""

import os
import re
import sys

FOLDERS = ("common", "transcripts", "server", "client", "tests")

TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.VERBOSE | re.DOTALL)


def root():
    """The tree to look at: the first argument, or the one this file is in."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(folders=FOLDERS, suffixes=(".c", ".h")):
    """(path from the root, text) of every C file, sorted."""
    top = root()
    for folder in folders:
        for where, _, names in os.walk(os.path.join(top, folder)):
            for name in sorted(names):
                if name.endswith(suffixes):
                    path = os.path.join(where, name)
                    with open(path, encoding="utf-8") as f:
                        yield os.path.relpath(path, top), f.read()


def bare(text, keep_strings=False):
    """text with comments (and string and character constants) emptied; every
    line stays where it was."""
    def empty(match):
        token = match.group()
        if token[0] == "/":
            return " " + "\n" * token.count("\n")
        return token if keep_strings else token[0] * 2
    return TOKEN.sub(empty, text)


def lines(text):
    """(number, line), from 1."""
    return enumerate(text.split("\n"), 1)


class Breaks:
    """Prints each break of a rule; the exit status at the end."""

    def __init__(self):
        self.count = 0

    def add(self, path, line, reason):
        self.count += 1
        print(f"{path}:{line}: {reason}")

    def exit(self):
        sys.exit(1 if self.count else 0)
