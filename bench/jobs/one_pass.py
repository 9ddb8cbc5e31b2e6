"""W4's yardstick: read, SHA-256, write and fsync in one pass. Words: the file, its copy."""

import hashlib
import os
import sys

source, target = sys.argv[1:]
digest = hashlib.sha256()
with open(source, "rb", buffering=0) as file, open(target, "wb", buffering=0) as out:
    while block := file.read(1 << 20):
        digest.update(block)
        out.write(block)
    os.fsync(out.fileno())
print(digest.hexdigest())
