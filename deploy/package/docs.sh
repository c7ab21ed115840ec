#!/usr/bin/env bash
# Writes manual pages to bin/man and completions to bin/completions. The argument is
# a stompbox that runs on this machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
stompbox=$1

rm -rf bin/man bin/completions
mkdir -p bin/completions
"$stompbox" man bin/man
gzip -9n bin/man/*.1
"$stompbox" completion bash >bin/completions/stompbox.bash
"$stompbox" completion zsh >bin/completions/_stompbox
"$stompbox" completion fish >bin/completions/stompbox.fish
