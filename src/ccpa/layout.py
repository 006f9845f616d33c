"""What things are called in a fixture's directory (`docs/fixtures.md`)."""

FIXTURE_FILE = "fixture.toml"
LEGACY_FILE = "meta.toml"
TEACHER_TRACE = "teacher.ccpa-trace.jsonl"
STUDENT_TRACE = "student.ccpa-trace.jsonl"
WORKSPACE = "workspace"
BEFORE = "before"
WEB_FILE = "web.toml"
