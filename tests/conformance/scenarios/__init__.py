"""The tables of all requests: name of the scenario -> list of steps."""

import importlib

TABLES = ("discovery", "objects", "errors", "pods", "workloads", "services", "cluster", "tables", "watches", "clients")
BY_TABLE = {name: importlib.import_module(f"scenarios.{name}").SCENARIOS for name in TABLES}
SCENARIOS = {name: steps for table in BY_TABLE.values() for name, steps in table.items()}

for _name, _steps in SCENARIOS.items():
    if len({step.name for step in _steps}) != len(_steps):
        raise ValueError(f"scenario '{_name}' has two steps of one name")
if len(SCENARIOS) != sum(map(len, BY_TABLE.values())):
    raise ValueError("two scenarios have one name")
