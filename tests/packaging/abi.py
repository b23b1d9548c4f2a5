#!/usr/bin/env python3
"""Could a plugin of the last release still be loaded?  abi.py MIRROR.so BASELINE [--record]

What crosses the line, as text: every structure with its size, every member with its offset in bytes and its type, every kind of callback. abidw (libabigail) reads it
from the debug information of abi_mirror.so, which mentions all public types. Today's must have all that the baseline has, where it has it:
what stands behind is what the ABI is made for, anything else is a broken promise and named."""
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as XML


class Types:
    def __init__(self, root):
        self.by_id = {node.get("id"): node for node in root.iter() if node.get("id")}

    def name(self, type_id):
        node = self.by_id[type_id]
        kind = node.tag
        if kind == "qualified-type-def":
            return "const " + self.name(node.get("type-id")) if node.get("const") else self.name(node.get("type-id"))
        if kind == "pointer-type-def":
            target = self.by_id[node.get("type-id")]
            return self.function(target) if target.tag == "function-type" else self.name(node.get("type-id")) + " *"
        if kind == "array-type-def":
            return self.name(node.get("type-id")) + "".join(f"[{range_.get('length')}]" for range_ in node.findall("subrange"))
        if kind == "function-type":
            return self.function(node)
        if kind in ("class-decl", "union-decl"):
            return node.get("name") if not node.get("is-anonymous") else "union" if kind == "union-decl" else "struct"
        return node.get("name")

    def function(self, node):
        arguments = ["..." if each.get("is-variadic") else self.name(each.get("type-id")) for each in node.findall("parameter")]
        return f"{self.name(node.find('return').get('type-id'))} (*)({', '.join(arguments)})"

    def members(self, node, at=0):
        for member in node.findall("data-member"):
            variable = member.find("var-decl")
            offset = at + int(member.get("layout-offset-in-bits", "0")) // 8
            inner = self.by_id[variable.get("type-id")]
            yield f"{offset} {variable.get('name')}: {self.name(variable.get('type-id'))}"
            if inner.get("is-anonymous"):
                for line in self.members(inner, offset):
                    yield line


def layout(mirror):
    text = subprocess.run(["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", mirror], stdout=subprocess.PIPE, check=True).stdout
    types = Types(XML.fromstring(text))
    found = {}
    for node in types.by_id.values():
        name = node.get("name") or ""
        if node.tag == "class-decl" and name.startswith("pbx_") and not node.get("is-declaration-only"):
            found[name] = (int(node.get("size-in-bits")) // 8, list(types.members(node)))
        if node.tag == "typedef-decl" and name.startswith("pbx_") and name.endswith("_fn"):
            found[name] = (8, ["0 call: " + types.name(node.get("type-id"))])
    return found


def write(path, structures):
    lines = [f"{name} {size}\n" + "".join(f"\t{member}\n" for member in members) for name, (size, members) in sorted(structures.items())]
    path.write_text("".join(lines))


def read(path):
    structures = {}
    for line in path.read_text().splitlines():
        if line.startswith("\t"):
            structures[name][1].append(line[1:])
        else:
            name, size = line.split()
            structures[name] = (int(size), [])
    return structures


def problems(then, now):
    for name, (size, members) in sorted(then.items()):
        if name not in now:
            yield f"{name} is gone"
            continue
        new_size, new_members = now[name]
        if new_size < size:
            yield f"{name} has shrunk from {size} to {new_size} bytes"
        for member in members:
            if member not in new_members:
                what = re.match(r"\d+ (\w*)", member)[1]
                is_now = [other for other in new_members if re.match(r"\d+ (\w*)", other)[1] == what]
                yield f"{name}: {member}   is now   {is_now[0] if is_now else 'gone'}"


def main():
    if not shutil.which("abidw"):
        print("abidw is not installed (abigail-tools)")
        return 77
    mirror, baseline = sys.argv[1], pathlib.Path(sys.argv[2])
    now = layout(mirror)
    if sys.argv[3:] == ["--record"]:
        write(baseline, now)
        print(f"recorded {len(now)} types in {baseline}")
        return 0
    broken = list(problems(read(baseline), now))
    if broken:
        print(*broken, sep="\n")
        print(f"a plugin built for {baseline.stem} would break. Members may only be added at the end (see {baseline.parent}/README.md)")
        return 1
    print(f"a plugin built for {baseline.stem} can be loaded: {len(now)} types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
