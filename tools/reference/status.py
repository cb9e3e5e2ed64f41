"""docs/reference/status.md and status.schema.json: the JSON of `kiteway status`, from `kiteway.report`."""

from __future__ import annotations

from kiteway.report.status import SCHEMA_VERSION, Status
from tools.reference.fields import fields_table, json_schema
from tools.reference.markdown import GENERATED

_INTRODUCTION = f"""
# Status

`kiteway status --output json` prints the state of the running instance as one JSON document. Its schema is
[status.schema.json](status.schema.json).

- `schemaVersion` is {SCHEMA_VERSION}. It grows when a field is removed, renamed, or changes its type or meaning. Fields can be
  added without a new version, so a reader must ignore fields that it does not know. A `kiteway status` that meets an instance
  with another version says so and ends with exit status 1.
- Times are UTC, as in RFC 3339. `[]` after a name means a list, `{{}}` a map.
- `kiteway status --watch --output json` prints a document every 2 seconds.

`kiteway plan --output json` has `hosts`, `certificates` and `diagnostics` in the same form, and `kiteway cert list` and
`cert show` have certificates.

"""


def render() -> str:
    """Return the page."""
    return GENERATED + _INTRODUCTION + fields_table(Status)


def render_schema() -> str:
    """Return the JSON schema."""
    return json_schema(Status)
