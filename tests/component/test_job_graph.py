"""The graph of job `profiles` as Flink gets it, built without a cluster."""

import json
import subprocess
import sys
from pathlib import Path

from stack import flink, parts
from stack.settings import PROJECT
from tests.stacks import Stack

BUILD = """
import json
from jobs import profiles

graph = profiles.build(1)
waiting, seen, found = list(graph._j_stream_execution_environment.getTransformations()), set(), {}
while waiting:
    one = waiting.pop()
    if one.getId() in seen:
        continue
    seen.add(one.getId())
    waiting += list(one.getInputs())
    if one.getClass().getSimpleName() == "SourceTransformation":
        field = one.getSource().getClass().getDeclaredField("props")
        field.setAccessible(True)
        found[one.getName()] = field.get(one.getSource()).getProperty("auto.offset.reset")
print(json.dumps(found))
"""


def test_no_source_starts_over_when_the_broker_has_lost_the_end_of_its_log(stack: Stack, tmp_path: Path) -> None:
    parts.ensure(stack.settings, ["flink-connector"], lambda *_: None)
    flink.render_configuration(stack.settings)
    for jar in parts.flink_jars(stack.settings):
        (tmp_path / jar.name).symlink_to(jar)
    env = stack.env | flink.environment(stack.settings) | {"FLINK_LIB_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=PROJECT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) >= {"read cdp.raw.clickstream", "read cdp.raw.orders", "read cdp.raw.service", "read cdp.pokes"}
    assert set(found.values()) == {"none"}
