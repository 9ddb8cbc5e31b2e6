"""W3's and W4's job: read a file, or every file of a folder, and write one line. Words: what to read, the output."""

import os
import sys
import zlib

source, target = sys.argv[1:]
names = sorted(os.listdir(source)) if os.path.isdir(source) else [""]
crc = total = 0
for name in names:
    with open(os.path.join(source, name) if name else source, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            crc, total = zlib.crc32(block, crc), total + len(block)
with open(target, "w", encoding="ascii") as out:
    print(total, f"{crc:08x}", file=out)
