# Judges pairs by packaging: see ../../reference_test.go.
import sys

from packaging.version import InvalidVersion, Version


def parse(text):
    try:
        return Version(text)
    except InvalidVersion:
        return None


sys.stdin.reconfigure(encoding="utf-8", newline="\n")
for line in sys.stdin:
    a, b = (parse(text) for text in line.removesuffix("\n").split("\t"))
    order = (a > b) - (a < b) if a and b else 0
    print(int(a is not None), int(b is not None), order)
