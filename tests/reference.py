"""The pages of docs/ that are made from code and template.

python -m tests.reference            writes them, as `make reference` does
python -m tests.reference --check    fails unless they are as they would be written
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from pipeline.cli.main import app
from pipeline.core import reasons
from pipeline.handlers.api_problems import STATUS_OF_REFUSAL, TITLES
from tests.conftest import ROOT
from tests.template import PATH, load

DOCS = ROOT / "docs"
MADE = "<!-- made by `make reference` -->\n\n"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def _reasons(about: Mapping[str, reasons.Reason], whom: str) -> str:
    rows = [(f"`{code}`", each.means, each.remedy) for code, each in sorted(about.items())]
    return table(("code", whom, "what to do"), rows)


def reasons_page() -> str:
    """Every code that something can fail with."""
    refusals = [
        (f"`{code}`", STATUS_OF_REFUSAL[code].value if code in STATUS_OF_REFUSAL else "", title)
        for code, title in sorted(TITLES.items())
    ]
    return (
        f"# Reasons\n\n{MADE}"
        "A code stands in receipts, dead letters, answers of the API and behind `pantok`'s errors. It "
        "comes with a `detail` that names places (column, row number, byte offset, AWS operation) and "
        "never a value.\n\n"
        "## Rejected rows\n\nCounted in the receipt (`rejects_by_reason`, `rejected_rows`); "
        "`pantok rejects` takes the rows out for repair. What is said of cells is in "
        "[pans.md](pans.md) and [layouts.md](layouts.md).\n\n"
        f"{_reasons(reasons.OF_ROWS, 'the row')}\n"
        "## Refused files\n\nThe file as a whole: a dead letter at once, and a receipt with "
        "`status` `failed`. [The runbook](runbook-dead-letters.md) has the steps.\n\n"
        f"{_reasons(reasons.OF_FILES, 'the file')}\n"
        "## Messages\n\n"
        f"{_reasons(reasons.OF_MESSAGES, 'the message')}\n"
        "## Passing reasons\n\nTried again, and a dead letter on the fifth delivery "
        "(`throttled`: after a hundred attempts).\n\n"
        f"{_reasons(reasons.PASSING, 'the worker')}\n"
        "## Faults of a deployment\n\nWhatever comes fails with them until they are cured.\n\n"
        f"{_reasons(reasons.OF_DEPLOYMENTS, 'the function')}\n"
        "## Items of the API\n\nBeside the `pan_…` reasons of rows, `guard_hit` and "
        "`customer_id_too_long`.\n\n"
        f"{_reasons(reasons.OF_ITEMS, 'the item')}\n"
        "## Requests to the API\n\nProblem documents; see [api.md](api.md#errors-of-a-whole-request).\n\n"
        f"{table(('code', 'status of a refusal', 'title'), refusals)}\n"
        "## Commands\n\nWhat `pantok` ends with, beside the codes above.\n\n"
        f"{_reasons(reasons.OF_COMMANDS, 'the command')}"
    )


# The template

_PERSON = " A person takes it on, with a second factor."


def template_page() -> str:
    """Parameters, roles, outputs and settings of the template."""
    template = load()
    return (
        f"# The template\n\n{MADE}"
        "`infra/template.yaml`: what can be set, whom it makes, what it tells.\n\n"
        f"## Parameters\n\n{table(('parameter', 'default', 'values', 'what'), _parameters(template))}\n"
        "## Roles\n\nWhat each may do exactly is its policy, which tests hold to a matrix "
        "(`tests/template_checks/access.py`, `tests/template_checks/keys.py`).\n\n"
        f"{table(('role', 'who takes it on', 'what for'), _roles(template))}\n"
        "## KMS keys\n\nRotated every year; 30 days between scheduling a deletion and the deletion.\n\n"
        f"{table(('key', 'does', 'used by, beside its administrators'), _keys(template))}\n"
        f"## Functions\n\n{table(('function', 'seconds', 'MB', 'does'), _functions(template))}\n"
        f"## Settings\n\nEnvironment variables that the template sets.\n\n"
        f"{table(('variable', 'functions'), _settings(template))}\n"
        f"## Outputs\n\n{table(('output', 'what'), _outputs(template))}"
        + "".join(_other_template(each) for each in sorted(PATH.parent.glob("*.yaml")))
    )


def _other_template(path: Path) -> str:
    if path == PATH:
        return ""
    template = load(path)
    parameters = _parameters(template) if "Parameters" in template else []
    outputs = _outputs(template) if "Outputs" in template else []
    return (
        f"\n## `infra/{path.name}`\n\n{template.get('Description', '')}\n\n"
        f"{table(('parameter', 'default', 'values', 'what'), parameters)}\n"
        f"{table(('output', 'what'), outputs)}"
    )


def _of_type(template: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Any]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource["Properties"]


def _parameters(template: Mapping[str, Any]) -> list[Sequence[object]]:
    return [
        (f"`{name}`", _default(each), _values(each), each["Description"])
        for name, each in template["Parameters"].items()
    ]


def _default(parameter: Mapping[str, Any]) -> str:
    if "Default" not in parameter:
        return "required"
    return f"`{parameter['Default']}`" if parameter["Default"] != "" else "none"


def _values(parameter: Mapping[str, Any]) -> str:
    if "AllowedValues" in parameter:
        return ", ".join(map(str, parameter["AllowedValues"]))
    if "MinValue" in parameter:
        return f"{parameter['MinValue']:,} to {parameter['MaxValue']:,}"
    return str(parameter.get("ConstraintDescription", ""))


def _roles(template: Mapping[str, Any]) -> list[Sequence[object]]:
    return [
        (f"`{name}`", _who(each), each["Description"].removesuffix(_PERSON))
        for name, each in _of_type(template, "AWS::IAM::Role")
    ]


def _who(role: Mapping[str, Any]) -> str:
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    return "Lambda" if "Service" in statement["Principal"] else "a person, with a second factor"


def _keys(template: Mapping[str, Any]) -> list[Sequence[object]]:
    return [
        (f"`{name}`", _subbed(each["Description"]), _users(each["KeyPolicy"]["Statement"]))
        for name, each in _of_type(template, "AWS::KMS::Key")
    ]


def _users(statements: Sequence[Mapping[str, Any]]) -> str:
    used = []
    for each in statements:
        statement = each["Fn::If"][1] if "Fn::If" in each else each
        if statement["Sid"] == "Administer":
            continue
        actions = statement["Action"]
        names = [actions] if isinstance(actions, str) else actions
        short = ", ".join(f"`{name.removeprefix('kms:')}`" for name in names)
        used.append(f"{_principal(statement['Principal'])}: {short}")
    return "; ".join(used)


def _principal(principal: Mapping[str, Any]) -> str:
    (who,) = principal.values()
    if isinstance(who, str):
        return who
    ((function, argument),) = who.items()
    if function == "Fn::GetAtt":
        role = argument[0] if isinstance(argument, list) else argument.partition(".")[0]
        return f"`{role}`"
    if function == "Ref":
        return f"`{argument}`"
    return "principals of the account through the service" if ":root" in argument else _subbed(who)


def _subbed(value: Any) -> str:
    text = value["Fn::Sub"] if isinstance(value, dict) else value
    return re.sub(r"\$\{AWS::StackName\} ", "", text).replace(
        "${AWS::Region}.${AWS::URLSuffix}", "…"
    )


def _functions(template: Mapping[str, Any]) -> list[Sequence[object]]:
    return [
        (f"`{name}`", each["Timeout"], f"{each['MemorySize']:,}", each["Description"])
        for name, each in _of_type(template, "AWS::Serverless::Function")
    ]


def _settings(template: Mapping[str, Any]) -> list[Sequence[object]]:
    users: dict[str, list[str]] = {}
    for name, each in _of_type(template, "AWS::Serverless::Function"):
        for variable in each.get("Environment", {}).get("Variables", {}):
            users.setdefault(variable, []).append(f"`{name}`")
    return [(f"`{variable}`", ", ".join(names)) for variable, names in sorted(users.items())]


def _outputs(template: Mapping[str, Any]) -> list[Sequence[object]]:
    return [(f"`{name}`", each["Description"]) for name, each in template["Outputs"].items()]


# The command line


def commands() -> dict[str, Any]:
    """Every command by its name, `pantok dlq list` for example; groups are among them."""
    return dict(_below("pantok", typer.main.get_command(app)))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, each in getattr(command, "commands", {}).items():
        yield from _below(f"{name} {child}", each)


def commands_page() -> str:
    """Every command with its arguments and options."""
    found = {name: each for name, each in commands().items() if not hasattr(each, "commands")}
    overview = [(f"[`{name}`](#{_anchor(name)})", _first(each)) for name, each in found.items()]
    return (
        f"# Commands\n\n{MADE}"
        "`pantok COMMAND --help` says the same with examples. Commands talk to the local stack if it "
        "is up, else to the stack of `--stack` or `PANTOK_STACK`. With `--json`, stdout has one JSON "
        "document and nothing else. Exit codes: 0 done, 1 failed (its code is one of "
        "[these](reasons.md)), 2 wrong usage.\n\n"
        f"{table(('command', 'does'), overview)}\n" + "\n".join(map(_section, found.items()))
    )


def _anchor(heading: str) -> str:
    return heading.replace(" ", "-")


def _first(command: Any) -> str:
    return str(command.help).partition("\n\n")[0]


def _section(item: tuple[str, Any]) -> str:
    name, command = item
    options = [
        (f"`{_spelling(each)}`", _help(each)) for each in command.params if each.name != "help"
    ]
    taken = f"\n{table(('takes', 'what'), options)}" if options else ""
    examples = f"\n{_code(command.epilog)}" if command.epilog else ""
    return f"## {name}\n\n{command.help}\n{taken}{examples}"


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return parameter.metavar or parameter.name.upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _help(parameter: Any) -> str:
    text = getattr(parameter, "help", None) or ""
    default = parameter.default
    shows = (
        isinstance(default, int | float | str) and not isinstance(default, bool) and default != ""
    )
    return f"{text} Default: {default}." if shows and "Default" not in text else text


def _code(epilog: str) -> str:
    lines = [line.strip() for line in re.split(r"\n+", epilog.replace("\b", ""))]
    return "```\n" + "\n".join(line for line in lines if line and line != "Examples:") + "\n```\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "reasons.md": reasons_page,
    "template.md": template_page,
}


def outdated() -> list[str]:
    """The pages that are not as they would be written."""
    return [
        name
        for name, page in PAGES.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text("utf-8") != page()
    ]


def main() -> None:
    if "--check" in sys.argv:
        if old := outdated():
            raise SystemExit(f"not up to date: {', '.join(old)}: `make reference`")
        return
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
