"""What an audit of a store costs beside `sha256sum -c` of the store's files: W3's many small files and W4's large one.

    python bench/audit.py [ROUNDS]

Works below BENCH (default /tmp/reenact-bench), with BENCH_BIG_BYTES for W4's file (default 2 GiB); some twice that. Each round does
the same in turns: `sha256sum -c` of every file in the store, and `reenact audit --all --no-seal` with drift, without, and from a sample.
Figures are CPU seconds of the processes, all threads together, and the ratio to sha256sum in the same round.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

BASE = Path(os.environ.get("BENCH", "/tmp/reenact-bench"), "audit")
REENACT = os.environ.get("REENACT", str(Path(sys.executable).with_name("reenact")))
SMALL_FILES = 10_000
SMALL_BYTES = 4096
BIG_BYTES = int(os.environ.get("BENCH_BIG_BYTES", str(2 << 30)))
SUMS = BASE / "sums.txt"
STORE = BASE / "store"
AUDIT = (REENACT, "audit", "--all", "--no-seal", "--store", str(STORE))
CASES = {
    "sha256sum -c": ("sha256sum", "--check", "--quiet", str(SUMS)),
    "audit --all": AUDIT,
    "audit --all --drift never": (*AUDIT, "--drift", "never"),
    "audit --all --sample 5%": (*AUDIT, "--sample", "5%"),
}


def execute(*words: str, cwd: Path = BASE) -> tuple[float, float]:
    """Run a command; give its CPU and wall seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def make() -> None:
    """Record a run over many small files, and one over a large file, both of bytes that do not compress."""
    small, large = BASE / "w3", BASE / "w4"
    (small / "data").mkdir(parents=True)
    large.mkdir()
    for number in range(SMALL_FILES):
        (small / "data" / f"{number:05d}.bin").write_bytes(os.urandom(SMALL_BYTES))
    with (large / "big.bin").open("wb") as file:
        for _ in range(BIG_BYTES >> 20):
            file.write(os.urandom(1 << 20))
    time.sleep(3)  # what was touched less than two seconds ago is not remembered by its times
    for folder, job in ((small, "cat data/* | wc -c > out.txt"), (large, "wc -c < big.bin > out.txt")):
        execute(REENACT, "run", "--store", str(STORE), "--job", folder.name, "--", "sh", "-c", job, cwd=folder)
    files = sorted(path for path in STORE.rglob("*") if path.is_file() and "cache" not in path.parts)
    done = subprocess.run(["sha256sum", *map(str, files)], capture_output=True, check=True)
    SUMS.write_bytes(done.stdout)
    total = sum(path.stat().st_size for path in files)
    print(f"{len(files)} files with {total / (1 << 20):,.0f} MiB in the store", flush=True)


def main(rounds: int) -> None:
    shutil.rmtree(BASE, ignore_errors=True)
    try:
        make()
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
        for _ in range(rounds):
            for name, words in CASES.items():
                taken[name].append(execute(*words))
        plain = [cpu for cpu, _ in taken["sha256sum -c"]]
        for name, times in taken.items():
            ratio = median(cpu / base for (cpu, _), base in zip(times, plain, strict=True))
            cpu, wall = median(cpu for cpu, _ in times), median(wall for _, wall in times)
            print(f"{name:<28} {cpu:7.2f} s processor {wall:7.2f} s wall   {ratio:5.2f} x", flush=True)
        print(f"load average {os.getloadavg()[0]:.1f}")
    finally:
        shutil.rmtree(BASE, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
