# weir: make help lists what there is.

GO        ?= go
STORE     ?= .weir/store
CLUSTER   ?= .weir/cluster
LISTEN    ?= 127.0.0.1:4222
HTTP      ?= 127.0.0.1:8080
FUZZTIME  ?= 10s
BENCHTIME ?= 1s
BENCHFLAGS ?=
PKG       ?= ./...

.DEFAULT_GOAL := help
.PHONY: cluster compare help build install run test test-short race lint row fmt fuzz bench microbench conformance crash powercut faults cluster-faults test-cluster abuse test-sdk test-ds console console-check test-console cover dist test-dist test-deploy release-check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo
	@echo 'variables: PKG=$(PKG) STORE=$(STORE) CLUSTER=$(CLUSTER) LISTEN=$(LISTEN) HTTP=$(HTTP) FUZZTIME=$(FUZZTIME) BENCHTIME=$(BENCHTIME) BENCHFLAGS=$(BENCHFLAGS)'

build: ## build bin/weir
	$(GO) build -trimpath -o bin/weir ./cmd/weir

install: ## install weir where go install puts binaries
	$(GO) install -trimpath ./cmd/weir

run: build ## start a broker on a store of its own (STORE, LISTEN, HTTP) and print commands to paste
	@mkdir -p $(STORE)
	@echo 'For the commands below, in another terminal first:'
	@echo '  cd $(CURDIR)'
	@exec bin/weir serve --store-dir $(STORE) --nats-listen $(LISTEN) --http-listen $(HTTP)

cluster: build ## start three brokers that form a cluster (CLUSTER, LISTEN and HTTP of the first), and print commands to paste
	@exec tools/cluster.sh bin/weir $(CLUSTER) $(LISTEN) $(HTTP)

test: ## run all tests (PKG)
	$(GO) test $(PKG)

test-short: ## run the tests that take no long time
	$(GO) test -short $(PKG)

race: ## run all tests under the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race $(PKG)

conformance: ## run the conformance suite on every door, and the linearizability check
	$(GO) test -count=1 $$($(GO) list ./test/... | grep -vE '/(crash|faults|bench|cluster)')

compare: ## replay docs/compatibility.md against the s2 lite of S2=/path/to/s2, and print where the two differ
	WEIR_COMPARE_S2=$(S2) $(GO) test -count=1 -v -run Compare ./test/compare

crash: ## kill brokers at random points, break disks and clients, and check what was promised (WEIR_CRASH_ROUNDS, WEIR_CRASH_SEED)
	WEIR_CRASH_ROUNDS=$${WEIR_CRASH_ROUNDS:-8} $(GO) test -count=1 -timeout 20m $$($(GO) list ./test/... | grep -E '/(crash|faults)')

powercut: ## cut the power of brokers on ext4, XFS and btrfs, at length; needs root and loop devices (WEIR_POWERCUT_ROUNDS, _SEED, _SPECS)
	WEIR_POWERCUT_ROUNDS=$${WEIR_POWERCUT_ROUNDS:-200} $(GO) test -count=1 -timeout 120m -v ./test/powercut

test-cluster: ## kill the owner of a log, cut a node off and drain nodes, under load; needs root, ip and iptables (CLUSTER_SEED)
	CLUSTER_ROUNDS=$${CLUSTER_ROUNDS:-0} $(GO) test -count=1 -timeout 10m -v -run Short ./test/cluster

cluster-faults: ## break nodes of a cluster and the network between them, at length (CLUSTER_ROUNDS, CLUSTER_SEED, CLUSTER_ROWS, CLUSTER_SETTINGS)
	CLUSTER_ROUNDS=$${CLUSTER_ROUNDS:-40} $(GO) test -count=1 -timeout 180m -v -run Faults ./test/cluster

faults: ## break disks, clocks, NATS servers and clients under a broker, at length
	$(GO) test -count=1 -timeout 20m ./test/faults -long

abuse: ## attack a broker at full length, and hold its memory and the answers of others to bounds
	WEIR_ABUSE=full $(GO) test -count=1 -timeout 20m -v ./test/abuse

# npm installs what package-lock.json pins, from whatever registry it is set up for.
test-sdk: build ## drive a broker with S2's published TypeScript SDK; needs node and npm
	cd test/sdk-ts && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build && WEIR_BIN=../../bin/weir npm test --silent

test-ds: build ## hold a broker to the Durable Streams protocol: its conformance suite and its client; needs node and npm
	cd test/ds && npm install --no-save --no-audit --no-fund --loglevel=error && WEIR_BIN=../../bin/weir npm test --silent

# What is embedded in the broker is committed, so that go build needs no node.
console: ## build the console's files from console/; needs node and npm
	cd console && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

console-check: console ## check that the console's committed files are what its sources make
	@changed=$$(git status --porcelain -- broker/internal/httpapi/dashboard); \
	if [ -n "$$changed" ]; then echo "the console's files differ from its sources: make console, and commit"; echo "$$changed"; exit 1; fi

test-console: build ## test the console: its parts, and in a browser against brokers; needs node, npm and chromium
	cd console && npm ci --no-audit --no-fund --loglevel=error && npm test --silent && WEIR_BIN=../bin/weir npm run --silent e2e

# The first run builds golangci-lint, as tools/go.mod pins it.
lint: ## check formatting, run golangci-lint (.golangci.yml), and check the modules' checksums
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	GOFLAGS= $(GO) build -C tools -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run $(PKG)
	$(GO) mod verify

row: ## print a row of the specification and the tests that cite it (ROW='A.2/49', ROW='cp A.20/368')
	@$(GO) run ./test/spec/row '$(ROW)'

fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

# The go command fuzzes one target at a time.
fuzz: ## fuzz every target for FUZZTIME
	@for pkg in $$($(GO) list $(PKG)); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "== $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

bench: ## measure weir beside raw JetStream: a table, and bench/latest.json
	@mkdir -p bench
	$(GO) run ./test/bench -out bench/latest.json $(BENCHFLAGS)

microbench: ## run the Go benchmarks of the packages (PKG, BENCHTIME); ten runs for benchstat
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -count 10 $(PKG)

cover: ## show the test coverage of each package
	$(GO) test -short -cover $(PKG)

dist: ## build archives, deb, rpm and checksums in dist/ (PLATFORMS="linux/amd64 ..."; all by default)
	GO=$(GO) deploy/dist.sh $(PLATFORMS)

test-dist: ## install, use and remove the deb of dist/, and try what the image holds; changes the machine, needs root
	test/deploy/deb.sh
	test/deploy/image.sh

# The first run builds helm and kubeconform, as tools/helm/go.mod and tools/kube/go.mod pin them, and fetches the schemas.
test-deploy: ## test deploy/: alerts, dashboard, proxies, chart; needs promtool, nginx and caddy
	GOFLAGS= $(GO) build -C tools/helm -o ../../bin/helm helm.sh/helm/v3/cmd/helm
	GOFLAGS= $(GO) build -C tools/kube -o ../../bin/kubeconform github.com/yannh/kubeconform/cmd/kubeconform
	GOFLAGS= $(GO) run -C tools/kube ./schemas ../../bin/kube-schemas
	WEIR_DEPLOY_ALL=1 $(GO) test -count=1 ./test/deploy

release-check: ## check .goreleaser.yaml; builds GoReleaser, which takes minutes
	GOFLAGS= $(GO) build -C tools/release -o ../../bin/goreleaser github.com/goreleaser/goreleaser/v2
	bin/goreleaser check

clean: ## remove what was built; the store of make run stays
	rm -rf bin bench dist
