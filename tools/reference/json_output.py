"""docs/reference/json-output.md and the schemas beside it: the JSON of `doctor`, `gke plan`, `verify`, `demo` and `top`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kiteway.demo.report import DemoReport
from kiteway.doctor.document import DoctorReport, RuleList
from kiteway.gke.report import GkePlanReport
from kiteway.milvus.verify import VerifyReport
from kiteway.report.calls import TopReport
from tools.reference.fields import fields_table, json_schema
from tools.reference.markdown import GENERATED

_INTRODUCTION = """
# JSON output

What `--output json` prints; `--output yaml` prints the same as YAML. `kiteway status` has [its own page](status.md).

- `schemaVersion` grows when a field is removed, renamed, or changes its type or meaning. Fields can be added without a new
  version, so a reader must ignore fields that it does not know.
- `[]` after a name means a list, `{}` a map.
"""
_DOCUMENTS = {
    "kiteway doctor": ("doctor.schema.json", DoctorReport),
    "kiteway doctor --list": ("doctor-list.schema.json", RuleList),
    "kiteway gke plan and kiteway gke status": ("gke-plan.schema.json", GkePlanReport),
    "kiteway verify": ("verify.schema.json", VerifyReport),
    "kiteway demo": ("demo.schema.json", DemoReport),
    "kiteway top --once": ("top.schema.json", TopReport),
}
SCHEMAS: dict[str, Callable[[], str]] = {name: partial(json_schema, struct) for name, struct in _DOCUMENTS.values()}


def render() -> str:
    """Return the page."""
    sections = (
        f"\n## {title}\n\nThe schema is [{name}]({name}).\n\n{fields_table(struct)}"
        for title, (name, struct) in _DOCUMENTS.items()
    )
    return GENERATED + _INTRODUCTION + "".join(sections)
