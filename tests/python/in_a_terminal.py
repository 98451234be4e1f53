"""Runs a program in a terminal of 80 by 24, types keys once it shows a text, and
prints as JSON what it did: the exit code, whether the terminal's settings are as
before, and what it wrote.

    in_a_terminal.py TEXT KEYS PROGRAM [ARGUMENT ...]
"""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

text, keys, command = sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3:]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(theirs)
child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
written = b""
typed = False
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    if select.select([ours], [], [], 0.05)[0]:
        written += os.read(ours, 65536)
    if not typed and text in written:
        os.write(ours, keys)
        typed = True
    if child.poll() is not None and not select.select([ours], [], [], 0.1)[0]:
        break
else:
    child.kill()
print(json.dumps({
    "code": child.wait(),
    "typed": typed,
    "restored": termios.tcgetattr(theirs) == before,
    "written": written.decode(errors="replace"),
}))
