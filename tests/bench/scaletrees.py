#!/usr/bin/env python3
"""Trees of many small files, made fast.

usage: scaletrees.py DIR FILES [PER_DIRECTORY]

Configuration-like texts of 100 to 300 bytes, no two alike.
"""
import os
import sys

PADDING = b"".join(b"key%d = value %d of a setting\n" % (i, i * 7919 % 1009) for i in range(12))
MIB = 1 << 20


def content(i, version=0):
    return b"# %d %x %d\n" % (i, i * 2654435761, version) + PADDING[:80 + i * 131 % 200]


def directory(i, per_directory):
    """Of the i-th file: two levels, a hundred at each."""
    n = i // per_directory
    return f"d{n // 100:03d}/e{n % 100:02d}"


def name(i):
    return f"f{i:07d}.conf"


def put(where, i, version=0):
    fd = os.open(name(i), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644, dir_fd=where)
    os.write(fd, content(i, version))
    os.close(fd)


def make(top, files, per_directory=200):
    for first in range(0, files, per_directory):
        path = f"{top}/{directory(first, per_directory)}"
        os.makedirs(path)
        where = os.open(path, os.O_RDONLY)
        for i in range(first, min(first + per_directory, files)):
            put(where, i)
        os.close(where)


def change(top, files, count, version, per_directory=200):
    """New content for `count` files, evenly spread."""
    for i in range(0, files, files // count):
        where = os.open(f"{top}/{directory(i, per_directory)}", os.O_RDONLY)
        put(where, i, version)
        os.close(where)


def block(seed):
    """A MiB of text that zstd halves at least, like no other."""
    line = b"%d:" % seed + bytes((seed * 31 + k * k) % 94 + 32 for k in range(997)) + b"\n"
    lines = (b"%d %d " % (seed, k) + line[k % 500:k % 500 + 300] for k in range(MIB // 280))
    return b"".join(lines)[:MIB]


def make_large(path, size_bytes):
    """One MiB of text in every 16, holes between: as long as it says, on little disk."""
    with open(path, "wb") as f:
        f.truncate(size_bytes)
        for at in range(0, size_bytes - MIB, 16 * MIB):
            f.seek(at + 12345)
            f.write(block(at // MIB))


if __name__ == "__main__":
    make(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:4]))
