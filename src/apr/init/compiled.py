"""Languages whose one tool builds and tests: Rust, Go, C and C++, Java, .NET, Swift, Zig."""

import re
from collections.abc import Iterator

from apr.init.facts import Command, Entrance, Fact, Rule
from apr.init.project import Project, quoted, table

MANIFESTS = frozenset(
    {"Cargo.toml", "go.mod", "CMakeLists.txt", "meson.build", "pom.xml", "build.gradle"}
    | {"build.gradle.kts", "Package.swift", "build.zig", "configure.ac"}
)


def look(project: Project) -> Iterator[Fact]:
    """Yield what the project's files say."""
    yield from _rust(project)
    yield from _go(project)
    yield from _cmake(project)
    yield from _java(project)
    for name, build, test in (
        ("meson.build", "meson setup build && meson compile -C build", "meson test -C build"),
        ("Package.swift", "swift build", "swift test"),
        ("build.zig", "zig build", "zig build test"),
    ):
        if name in project.top:
            yield Command("build", build, name)
            if "test" in project.text(name).casefold():
                yield Command("test", test, name)
    solution = next((n for n in sorted(project.top) if n.endswith((".sln", ".slnx"))), None)
    if solution:
        yield Command("build", "dotnet build", solution)
        yield Command("test", "dotnet test", solution)


def _rust(project: Project) -> Iterator[Fact]:
    name = "Cargo.toml"
    data = project.toml(name)
    if not data:
        return
    whole = " --workspace" if table(data, "workspace") and "package" in data else ""
    yield Command("build", f"cargo build{whole}", name)
    yield Command("test", f"cargo test{whole}", name)
    for named in ("clippy.toml", ".clippy.toml"):
        if named in project.top:
            yield Command("lint", "cargo clippy", named)
    if table(data, "lints", "clippy") or table(data, "workspace", "lints", "clippy"):
        yield Command("lint", "cargo clippy", name)
    for named in ("rustfmt.toml", ".rustfmt.toml"):
        if named in project.top:
            yield Command("format", "cargo fmt", named)
            if width := quoted(project.toml(named).get("max_width")):
                yield Rule(f"lines of at most {width.strip('`')} characters", named)
    if "src/main.rs" in map(str, project.files):
        yield Entrance("", "src/main.rs", name)
    binaries = data.get("bin")
    for binary in binaries if isinstance(binaries, list) else ():
        if path := table(binary).get("path"):
            yield Entrance(str(table(binary).get("name") or ""), str(path), name)
    for package in (table(data, "package"), table(data, "workspace", "package")):
        if edition := quoted(package.get("edition")):
            yield Rule(f"Rust, edition {edition}", name)
        if needed := quoted(package.get("rust-version")):
            yield Rule(f"Rust {needed} or later", name)


def _go(project: Project) -> Iterator[Fact]:
    if "go.mod" not in project.top:
        return
    text = project.text("go.mod")
    yield Command("build", "go build ./...", "go.mod")
    if any(path.name.endswith("_test.go") for path in project.files):
        yield Command("test", "go test ./...", "go.mod")
    for name in (".golangci.yml", ".golangci.yaml", ".golangci.toml"):
        if name in project.top:
            yield Command("lint", "golangci-lint run", name)
    for path in project.files:
        if path.name == "main.go" and (len(path.parts) == 1 or path.parts[0] == "cmd"):
            yield Entrance("", str(path), "go.mod")
    if module := re.search(r"(?m)^module\s+(\S+)", text):
        yield Rule(f"the module is {quoted(module[1])}", "go.mod")
    if version := re.search(r"(?m)^go\s+([\d.]+)", text):
        yield Rule(f"Go {quoted(version[1])}", "go.mod")


def _cmake(project: Project) -> Iterator[Fact]:
    name = "CMakeLists.txt"
    if name in project.top:
        yield Command("build", "cmake -B build && cmake --build build", name)
        text = project.text(name)
        if re.search(r"(?im)^[ \t]*(enable_testing[ \t]*\(|include[ \t]*\([ \t]*CTest\b)", text):
            yield Command("test", "ctest --test-dir build", name)
        if standard := re.search(r"(?i)CMAKE_(C|CXX)_STANDARD\s+(\d+)", text):
            language = "C++" if standard[1].upper() == "CXX" else "C"
            yield Rule(f"{language}{standard[2]}", name)
    elif "configure.ac" in project.top:
        first = "./autogen.sh && " if "autogen.sh" in project.top else "autoreconf -i && "
        yield Command("build", f"{first}./configure && make", "configure.ac")


def _java(project: Project) -> Iterator[Fact]:
    if "pom.xml" in project.top:
        maven = "./mvnw" if "mvnw" in project.top else "mvn"
        yield Command("build", f"{maven} package", "pom.xml")
        yield Command("test", f"{maven} test", "pom.xml")
    for name in ("build.gradle", "build.gradle.kts"):
        if name in project.top:
            gradle = "./gradlew" if "gradlew" in project.top else "gradle"
            yield Command("build", f"{gradle} build", name)
            yield Command("test", f"{gradle} test", name)
