#!/usr/bin/env bash
# Fetches Mermaid, which draws the pictures, to the file of the argument, unless it is there.
# The site serves it itself, so that readers load nothing from others.
set -euo pipefail
version=11.12.2
sum=c4ab1840638b1735135090c667382e89cc353b46b56761514a3d0a8a80963832
[ -e "$1" ] && exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm pack -s --pack-destination "$folder" "mermaid@$version" >/dev/null
echo "$sum  $folder/mermaid-$version.tgz" | sha256sum --check --quiet
tar -xzf "$folder/mermaid-$version.tgz" -C "$folder" package/dist/mermaid.min.js
mv "$folder/package/dist/mermaid.min.js" "$1"
