#!/usr/bin/env python3
"""Turns the numbered SQL files of this folder into core_schema[], which the daemon carries in itself.

Usage: embed.py FOLDER OUTPUT. The output is left alone when nothing has changed, so a build that always asks costs nothing."""
import pathlib
import re
import sys


def literal(text):
    """A C string literal, one source line for each line of text."""
    lines = []
    for line in text.splitlines():
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("?", "\\?")
        lines.append('\t\t"%s\\n"' % escaped)
    return "\n".join(lines)


def main():
    folder, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    rows, numbers = [], {}

    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d+)_([a-z0-9_]+)\.sql", path.name)
        if not match:
            sys.exit("%s: a step is called NNN_name.sql" % path)
        number, name = int(match[1]), match[2]
        if number in numbers:
            sys.exit("%s: number %d is taken by %s" % (path, number, numbers[number]))
        numbers[number] = path.name
        rows.append('\t{ .number = %du, .name = "%s", .sql =\n%s },' % (number, name, literal(path.read_text(encoding="utf-8"))))
    if not rows:
        sys.exit("%s: no NNN_name.sql here" % folder)

    text = "/* Made by schema/embed.py from schema/NNN_name.sql. */\n#include <schema.h>\n\n"
    text += "const struct pbx_migration core_schema[] = {\n%s\n};\n\n" % "\n".join(rows)
    text += "const uint32_t core_schema_count = (uint32_t)(sizeof core_schema / sizeof core_schema[0]);\n"
    if not output.exists() or output.read_text(encoding="utf-8") != text:
        output.write_text(text, encoding="utf-8")


main()
