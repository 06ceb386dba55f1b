#!/usr/bin/env bash
# Builds everything that can be built without a network and a container engine: the binaries of all platforms, archives,
# deb and rpm packages, a list of what is in the binaries (SBOM), and checksums. GoReleaser makes the same for a release
# (.goreleaser.yaml).
#
#   deploy/dist.sh [GOOS/GOARCH ...]     the platforms, all by default
set -euo pipefail
cd "$(dirname "$0")/.."

version=${VERSION:-$(git describe --tags --match 'v*' --dirty 2>/dev/null || true)}
version=${version:-0.0.0-dev+$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}
export VERSION=${version#v}
platforms=("$@")
[ ${#platforms[@]} -gt 0 ] || platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64)
go=${GO:-go}
tool() { GOFLAGS='' "$go" tool -modfile=tools/go.mod "$@"; }

rm -rf dist
mkdir -p dist
for platform in "${platforms[@]}"; do
  os=${platform%/*} arch=${platform#*/} suffix=''
  [ "$os" != windows ] || suffix=.exe
  dir=dist/weir_${os}_${arch}
  echo "building weir $VERSION for $platform"
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch "$go" build -trimpath \
    -ldflags "-s -w -X github.com/weirstream/weir/cmd/weir/internal/cli.version=$VERSION" -o "$dir/weir$suffix" ./cmd/weir
  cp LICENSE README.md CHANGELOG.md "$dir"
  tar -C dist --owner=0 --group=0 -czf "dist/weir_${VERSION}_${os}_${arch}.tar.gz" "weir_${os}_${arch}"
  if [ "$os" = linux ]; then
    for packager in deb rpm; do
      ARCH=$arch tool nfpm package --config deploy/package/nfpm.yaml --packager "$packager" --target dist
    done
  fi
  # The modules and their checksums, as the binary itself names them.
  "$go" version -m "$dir/weir$suffix" >"dist/weir_${VERSION}_${os}_${arch}.modules.txt"
done
shopt -s nullglob
(cd dist && sha256sum -- *.tar.gz *.modules.txt *.deb *.rpm >checksums.txt)
ls -l dist
