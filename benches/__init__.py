"""Measures Logboom: beside Docker's own drivers on a private engine, the plugin without an engine, and the core alone.

    python -m benches all --corpora FOLDER     everything, with the results in benches/results
    python -m benches printing --quick         one measurement, small, to see whether it works
    python -m benches report                   puts the results into docs/performance.md

It needs root, for engines and mounts, and ``build/plugin`` (``make plugin``). ``docs/performance.md`` says what each
figure means.
"""
