# shellcheck shell=bash
# Shared by the scripts here; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# The text of the script's own leading comment is its help.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
}

# Runs as root whoever calls: directly, or by sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root for: $* (no sudo here; run that as root, then this again)"
  fi
}

# Names in package lists, each once, without comments.
packages_in() {
  sed 's/#.*//' "$@" | tr -s ' \t' '\n' | sed '/^$/d' | sort -u
}

missing_packages() {
  local package
  for package in $(packages_in "$@"); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}
