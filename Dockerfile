# The image of weir: one static binary, no shell, no root, a read-only root file system, the store in a volume.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=1.2.3 -t weir .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=0.0.0-dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X github.com/weirstream/weir/cmd/weir/internal/cli.version=$VERSION" -o /out/weir ./cmd/weir \
 && mkdir /out/store

FROM scratch
# For an external NATS with TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/weir /usr/bin/weir
COPY --from=build --chown=65532:65532 /out/store /var/lib/weir
USER 65532:65532
ENV WEIR_STORE_DIR=/var/lib/weir
VOLUME ["/var/lib/weir"]
EXPOSE 4222 8080
STOPSIGNAL SIGTERM
# The start of a large store takes minutes; a broker that does not answer by then is ill.
HEALTHCHECK --interval=10s --timeout=4s --start-period=5m CMD ["/usr/bin/weir", "health"]
ENTRYPOINT ["/usr/bin/weir"]
CMD ["serve"]
