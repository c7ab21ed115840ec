#!/usr/bin/env bash
# Prints VERSION, COMMIT and DATE of the work tree, for eval. Without a tag the version is
# below all releases.
set -euo pipefail
cd "$(dirname "$0")/../.."

commit=$(git rev-parse HEAD)
date=$(TZ=UTC git show -s --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ HEAD)
dirty=
[ -z "$(git status --porcelain --untracked-files=no)" ] || dirty=.dirty
if tag=$(git describe --exact-match --tags --match 'v*' HEAD 2>/dev/null) && [ -z "$dirty" ]; then
  version=${tag#v}
else
  last=$(git describe --tags --abbrev=0 --match 'v*' HEAD 2>/dev/null || echo v0.0.0)
  stamp=${date//[-:TZ]/}
  version=${last#v}-dev.${stamp}.g${commit:0:9}$dirty
fi
printf 'VERSION=%s COMMIT=%s DATE=%s\n' "$version" "$commit" "$date"
