#!/usr/bin/env python3
"""Is each file of a tree what it was, or what it will be?

usage: halfway.py OLD NEW ROOT

Prints each path below ROOT that is neither as in OLD nor as in NEW (content
with its mode, owner and time; links by their target), and each of them that is
missing although both have it.  Names that begin with ".pecia-" are passed over.
Exit status 1 when there were any.
"""
import hashlib
import os
import stat
import sys


def describe(path):
    st = os.lstat(path)
    if stat.S_ISDIR(st.st_mode):
        return ("directory",)
    if stat.S_ISLNK(st.st_mode):
        return ("link", os.readlink(path))
    if stat.S_ISREG(st.st_mode):
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
        return ("file", content, st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns)
    return ("other", st.st_mode, st.st_rdev)


def read(top):
    found = {}
    for folder, names, files in os.walk(top):
        names[:] = [name for name in names if not name.startswith(".pecia-")]
        for name in names + files:
            if not name.startswith(".pecia-"):
                path = os.path.join(folder, name)
                found[os.path.relpath(path, top)] = describe(path)
    return found


def is_either(path, have, old, new):
    sides = [old.get(path), new.get(path)]
    if have in sides:
        return True
    # Only its metadata changes: that is done in place, step by step.
    both = [side for side in sides if side is not None]
    return have is not None and len(both) == 2 and \
        have[:2] == both[0][:2] == both[1][:2]


def main():
    old, new, have = (read(top) for top in sys.argv[1:4])
    wrong = [path for path in sorted(old.keys() | new.keys() | have.keys())
             if not is_either(path, have.get(path), old, new)]
    for path in wrong[:20]:
        print(f"{path}: {have.get(path)}, was {old.get(path)}, will be {new.get(path)}")
    return 1 if wrong else 0


sys.exit(main())
