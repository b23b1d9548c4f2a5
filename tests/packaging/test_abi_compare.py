#!/usr/bin/env python3
"""abi.py says no to what would break a plugin, naming it, and yes to what is added: test_abi_compare.py MIRROR.so"""
import shutil
import sys

if not shutil.which("abidw"):
    sys.exit(77)
from abi import layout, problems

now = layout(sys.argv[1])
size, members = now["pbx_calls"]


def found(then):
    return list(problems({**now, **then}, now))


assert found({}) == []
# The release before had fewer members at the end.
assert found({"pbx_calls": (size - 16, members[:-2])}) == []
# It had one more; one of another type; one elsewhere; a structure that is no more; a callback that was called with more.
one_more = found({"pbx_calls": (size + 8, members + [f"{size} later: int (*)(pbx_leg)"])})
assert one_more == [f"pbx_calls has shrunk from {size + 8} to {size} bytes", f"pbx_calls: {size} later: int (*)(pbx_leg)   is now   gone"], one_more
assert "16 header: pbx_header" not in members
moved = found({"pbx_calls": (size, ["16 header: pbx_header"] + members[1:])})
assert moved == ["pbx_calls: 16 header: pbx_header   is now   0 header: pbx_header"], moved
retyped = found({"pbx_value": (16, ["0 type: int64_t"] + now["pbx_value"][1][1:])})
assert retyped == ["pbx_value: 0 type: int64_t   is now   0 type: uint32_t"], retyped
assert found({"pbx_gone": (8, [])}) == ["pbx_gone is gone"]
assert len(found({"pbx_event_fn": (8, ["0 call: void (*)(void *)"])})) == 1
print("abi.py knows what breaks a plugin")
