import json
import subprocess
import sys

from apr.tools.registry import BUILTIN, find, later, specs, specs_later

HEAVY = {
    "rich",
    "numpy",
    "pathspec",
    "rapidfuzz",
    "difflib",
    "gguf",
    "tree_sitter",
    "importlib.metadata",
}


def test_the_tools_are_offered_in_a_fixed_order() -> None:
    names = ["Read", "Write", "Edit", "Glob", "Grep", "Bash", "BashOutput", "KillShell"]
    assert [tool.name for tool in BUILTIN] == names


def test_the_tools_take_little_of_a_small_model_s_prompt() -> None:
    functions = [
        {
            "type": "function",
            "function": {
                "name": spec.name,
                "description": spec.description,
                "parameters": spec.parameters,
            },
        }
        for spec in specs(BUILTIN)
    ]
    assert len(json.dumps(functions)) < 4500


def test_every_property_tells_its_type() -> None:
    for spec in specs(BUILTIN):
        assert spec.parameters["type"] == "object"
        for name, field in spec.parameters["properties"].items():
            assert field["type"] in {"string", "integer", "boolean"}, (spec.name, name)


def test_inputs_have_the_names_that_other_agents_use() -> None:
    fields = {spec.name: list(spec.parameters["properties"]) for spec in specs(BUILTIN)}
    assert fields == {
        "Read": ["file_path", "offset", "limit"],
        "Write": ["file_path", "content"],
        "Edit": ["file_path", "old_string", "new_string", "replace_all"],
        "Glob": ["pattern", "path"],
        "Grep": [
            "pattern", "path", "glob", "type", "output_mode", "-A", "-B", "-C", "-n", "-i", "-o",
            "head_limit", "offset", "multiline",
        ],
        "Bash": ["command", "timeout", "description", "run_in_background"],
        "BashOutput": ["bash_id", "filter"],
        "KillShell": ["shell_id"],
    }  # fmt: skip


def test_a_tool_is_found_by_its_name_and_aliases() -> None:
    tools = {tool.name: tool for tool in BUILTIN}
    assert find("Read", tools) is tools["Read"]
    assert find("TaskOutput", tools) is tools["BashOutput"]
    assert find("TaskStop", tools) is tools["KillShell"]
    assert find("read", tools) is None
    assert find("TaskStop", {}) is None


def test_importing_the_tools_imports_nothing_heavy() -> None:
    program = "import sys, apr.tools.registry; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert HEAVY.isdisjoint(result.stdout.split())


def test_a_tool_that_is_made_later_is_imported_then() -> None:
    code = (
        "import sys\n"
        "from apr.tools.registry import later, specs_later\n"
        "class Tools(dict): __missing__ = lambda self, name: later(name)()\n"
        "known = specs_later(Tools(), ['NotebookEdit'])\n"
        "print('apr.tools.notebook_edit' in sys.modules)\n"
        "print(known['NotebookEdit']().name, 'apr.tools.notebook_edit' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "NotebookEdit", "True"]


def test_a_tool_that_is_made_later_is_made_once() -> None:
    make = later("Monitor")
    assert make().name == "Monitor"
    assert make() is make()


def test_the_spec_of_a_known_tool_is_that_of_the_tool() -> None:
    tools = {tool.name: tool for tool in BUILTIN}
    known = specs_later(tools, ["Grep", "Bash"])
    assert [known[name]() for name in known] == [*specs([tools["Grep"], tools["Bash"]])]
