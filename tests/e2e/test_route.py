"""The number plan and the way of a number through it, as `pbxctl route` and REST show them."""
import json
import subprocess

import pytest
from pbx import BUILD


def test_the_plan_lists_every_claim_number_and_hook(pbx):
    pbx.account("1001")
    plan = pbx.ctl("route", "plan")
    rows = {row["pattern"]: row for row in plan}
    assert rows["1001"] == {"order": 0, "kind": "number", "pattern": "1001", "owner": "extensions", "help": ""}
    (slots,) = [row for row in plan if row["owner"] == "call_parking" and row["kind"] == "claim" and row["pattern"].startswith("7")]
    assert slots["order"] == 300 and slots["help"]
    assert {"extensions", "call_parking"} <= {row["owner"] for row in plan if row["kind"] == "claim"}
    hooks = [row for row in plan if row["kind"] == "hook"]
    assert "extensions" in {row["owner"] for row in hooks}
    orders = [row["order"] for row in plan if row["order"]]
    assert orders == sorted(orders) and [row["order"] for row in plan[len(orders):]] == [0] * (len(plan) - len(orders))
    assert pbx.http("GET", "/route/plan") == (200, {"items": plan})
    pbx.ctl("plugin", "unload", "call_parking")
    assert "call_parking" not in {row["owner"] for row in pbx.ctl("route", "plan")}


def explain(pbx, *words):
    code, said = pbx.says("route", "explain", *words)
    assert code == 0
    for step in said["items"]:
        assert {"order", "owner", "hook", "verdict", "text", "took_ms"} <= set(step) and 0 <= step["took_ms"] < 5000
    return said


def test_explain_tells_each_step_and_the_outcome_in_a_sentence(pbx):
    pbx.account("1001")
    pbx.account("1002")
    said = explain(pbx, "1001", "1002")
    assert said["verdict"] == "targets" and said["items"][-1]["owner"] == "extensions"
    assert said["sentence"].startswith("When 1001 dials 1002, extensions connects the call: ring ")
    nobody = explain(pbx, "1001", "1999")
    assert (nobody["verdict"], nobody["sip_code"]) == ("reject", 404)
    assert nobody["sentence"] == "When 1001 dials 1999, core refuses the call with 404: nobody has this number"
    slot = explain(pbx, "1001", "70")
    assert slot["verdict"] == "control" and "call_parking takes the call" in slot["sentence"]
    shown = subprocess.run([str(BUILD / "api" / "pbxctl"), "--socket", str(pbx.control), "route", "explain", "1001", "1002"],
                           capture_output=True, text=True, timeout=30).stdout.splitlines()
    assert shown[0].split()[:5] == ["order", "owner", "hook", "verdict", "took"] and shown[-1] == said["sentence"]
    status, answer = pbx.http("POST", "/route:explain", {"from": "1001", "to": "1002"})
    assert status == 200 and answer["sentence"] == said["sentence"]


def test_explain_obeys_permissions_and_do_not_disturb(pbx):
    pbx.account("1001")
    pbx.account("1002")
    pbx.ctl("extension", "set", "1002", "dnd=true")
    said = explain(pbx, "1001", "1002")
    assert "dnd" in json.dumps(said).lower() or "disturb" in json.dumps(said).lower(), said


def test_explain_knows_who_may_not_call_outside(pbx):
    pbx.account("1001", allow_external="false")
    pbx.account("1002", allow_external="true")
    refused = explain(pbx, "1001", "00441234567")
    assert (refused["verdict"], refused["sip_code"]) == ("reject", 403)
    assert refused["sentence"] == "When 1001 dials 00441234567, extensions refuses the call with 403: this extension may not call outside"
    allowed = explain(pbx, "1002", "00441234567")
    assert ("extensions", "pass") in {(step["owner"], step["verdict"]) for step in allowed["items"] if step["order"] == 450}


@pytest.mark.parametrize("at, status", [("2026-12-24T20:00:00Z", 200), ("2026-12-24T20:00", 200), ("yesterday", 400), ("2026-13-01T00:00:00Z", 400)])
def test_explain_takes_the_time_it_is_told(pbx, at, status):
    pbx.account("1002")
    given, answer = pbx.http("POST", "/route:explain", {"from": "1001", "to": "1002", "at": at})
    assert given == status
    if status == 400:
        assert answer["errors"][0]["pointer"] == "/at"
    else:
        assert explain(pbx, "1001", "1002", "--at", at)["verdict"] == "targets"
