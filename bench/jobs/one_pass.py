"""W4's yardstick: read, SHA-256, write and fsync in one pass. Words: the file, its copy."""

import hashlib
import os
import sys

source, target = sys.argv[1:]
digest = hashlib.sha256()
with open(source, "rb", buffering=0) as file, open(target, "wb", buffering=0) as out:
    # One buffer: a new one for each block would cost more page faults than all the rest of the work.
    buffer = memoryview(bytearray(1 << 20))
    while got := file.readinto(buffer):
        digest.update(buffer[:got])
        out.write(buffer[:got])
    os.fsync(out.fileno())
print(digest.hexdigest())
