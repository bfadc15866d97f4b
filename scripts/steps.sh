# Sourced: runs steps one after the other, also after one has failed, and says
# at the end which did.

failed=()

step() { # NAME COMMAND...
  local name=$1 started=$SECONDS
  shift
  echo "== $name"
  if "$@"; then
    echo "== $name: passed in $((SECONDS - started)) s"
  else
    failed+=("$name")
    echo "== $name: FAILED after $((SECONDS - started)) s"
  fi
}

finish() { # NAME
  if [ ${#failed[@]} -gt 0 ]; then
    local IFS=,
    echo "$1: FAILED (${failed[*]}) after $SECONDS s"
    exit 1
  fi
  echo "$1: all passed in $SECONDS s"
}
