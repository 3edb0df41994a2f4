"""The JSON Schema of bench files, for editors that complete and check TOML."""

from typing import Any

from rig.bench.model import BenchFile


def bench_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a bench file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "dualcopy-bench-1",
        **BenchFile.model_json_schema(by_alias=True),
        "title": "dualcopy bench",
    }
