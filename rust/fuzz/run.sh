#!/bin/sh
# Feeds each fuzz target any bytes for so many seconds, from the seeds and from what earlier runs found worth keeping.
#
# usage: rust/fuzz/run.sh [SECONDS] [TARGET...]
#
# LOGBOOM_TEST_RUNS ends a target after so many inputs (SECONDS=0: then only), LOGBOOM_TEST_INPUT_BYTES bounds each of them: where many
# small inputs are wanted, 2048 make several times as many.
#
# cargo-fuzz wants a nightly compiler for its sanitizers; without them a stable one will do, if it is told so.
set -eu

VERSION=0.13
cd "$(dirname "$0")/../.."
tools=$PWD/build/cargo-fuzz
seconds=${1:-20}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- frames block segment index journal sync_log

if ! command -v cargo-fuzz >/dev/null 2>&1 && [ ! -x "$tools/bin/cargo-fuzz" ]; then
    echo "run.sh: installing cargo-fuzz into build/cargo-fuzz" >&2
    cargo install --quiet --locked --root "$tools" --target-dir "$tools/target" --version "^$VERSION" cargo-fuzz
    rm -rf "$tools/target"
fi
export PATH="$PATH:$tools/bin" RUSTC_BOOTSTRAP=1

logs=$PWD/build/fuzz
mkdir -p "$logs"
for target; do
    mkdir -p "rust/fuzz/corpus/$target"
    # 64 KiB of input reach everything but the largest blocks; no input may take a gigabyte or ten seconds. Without traces of compares
    # the same code is reached, sooner: what would be hard to guess the targets put right themselves.
    cargo fuzz run --fuzz-dir rust/fuzz --sanitizer none --no-trace-compares "$target" \
        "rust/fuzz/corpus/$target" "rust/fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -runs="${LOGBOOM_TEST_RUNS:--1}" -max_len="${LOGBOOM_TEST_INPUT_BYTES:-65536}" \
        -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 \
        >"$logs/$target.log" 2>&1 || { tail -n 60 "$logs/$target.log" >&2; exit 1; }
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target.log") inputs, no fault"
done
