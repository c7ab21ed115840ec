#!/usr/bin/env bash
# Builds the static binaries of $PLATFORMS, deb and rpm for each linux among them, an
# SBOM of each binary, and checksums.txt, into dist/. $SBOM=no leaves the SBOMs out.
set -euo pipefail
cd "$(dirname "$0")/../.."

# go run keeps these tools out of go.mod.
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0
cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}
eval "$(deploy/package/version.sh)"
export VERSION
# Two builds of one commit make the same packages.
SOURCE_DATE_EPOCH=$(git show -s --format=%ct HEAD)
export SOURCE_DATE_EPOCH
export CGO_ENABLED=0
ldflags="-s -w -X main.releaseVersion=v$VERSION -X main.releaseCommit=$COMMIT -X main.releaseDate=$DATE"

build() { # build OS ARCH FILE
  GOOS=$1 GOARCH=$2 go build -buildvcs=false -trimpath -ldflags "$ldflags" -o "$3" ./cmd/stompbox
}

rm -rf dist
mkdir -p dist
build "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" bin/stompbox
deploy/package/docs.sh bin/stompbox

for platform in $platforms; do
  os=${platform%/*} arch=${platform#*/}
  binary=dist/stompbox_${VERSION}_${os}_${arch}
  [ "$os" != windows ] || binary=$binary.exe
  build "$os" "$arch" "$binary"
  if [ "$os" = linux ]; then
    for packager in deb rpm; do
      ARCH=$arch BINARY=$binary go run "$nfpm" package --config deploy/package/nfpm.yaml --packager "$packager" --target dist/
    done
  fi
  if [ "${SBOM:-yes}" != no ]; then
    go run "$cyclonedx" bin -json -output "$binary.cdx.json" "$binary" 2>/dev/null
  fi
done
(cd dist && sha256sum -- * >checksums.txt)
ls -l dist
