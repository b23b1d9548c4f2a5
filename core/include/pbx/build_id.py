"""build_id.py FOLDER VERSION OUT: pbx/build.h, with what tells this set of public headers from any other."""
import hashlib
import pathlib
import sys

folder, version, out = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
digest = hashlib.sha256()
for header in sorted(folder.glob("*.h")):
    digest.update(header.name.encode() + b"\0" + header.read_bytes() + b"\0")
text = f"""/* pbx/build.h - which build these headers are of; made by build_id.py from the version and the text of all of them */
#pragma once
#define PBX_BUILD "{version}-{digest.hexdigest()[:12]}"
"""
if not out.exists() or out.read_text() != text:
    out.write_text(text)
