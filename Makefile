# make shows the targets.
.DEFAULT_GOAL := help
.PHONY: docs site screenshot help setup build man run cluster-demo test test-fast lint package package-test dist deploy-test fuzz bench chaos soak abuse bench-guard bench-peers bench-peers-setup interop interop-acme interop-hidden hidden-tab interop-setup vulncheck interop-spring

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## fetch the Go modules
	go mod download

build: ## build bin/stompbox
	go build -o bin/stompbox ./cmd/stompbox

man: build ## manual pages, in bin/man
	bin/stompbox man bin/man

run: ## run the broker in development mode
	go run ./cmd/stompbox serve --dev

cluster-demo: build ## three nodes on this machine: chat pages on ports 8080, 8081 and 8082
	@for i in 0 1 2; do \
	  STOMPBOX_CLUSTER_NODE=n$$i STOMPBOX_CLUSTER_LISTEN=127.0.0.1:622$$i \
	  STOMPBOX_CLUSTER_PEERS=127.0.0.1:6220,127.0.0.1:6221,127.0.0.1:6222 \
	  bin/stompbox serve --dev -c examples/cluster/stompbox.yaml \
	    --http 127.0.0.1:808$$i --data-dir stompbox-data/n$$i & done; wait

# Packages run one after the other: their tests open thousands of connections.
test: ## all Go tests with the race detector; needs Go alone
	go test -race -p 1 -timeout 30m ./...

test-fast: ## the Go tests without the race detector, and without those that take long
	go test -short -p 2 -timeout 15m ./...

# The linter has many dependencies, so go.mod does without it. Its first build takes a minute.
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

docs: ## the parts of docs/ that are made from the source; make test compares them
	UPDATE_DOCS=1 go test -count=1 -run '^(TestReference|TestEachMetricIsDocumented)' ./cmd/stompbox

site: ## the website of docs/, in bin/site; needs Python and npm
	python3 -m venv site/.venv && site/.venv/bin/pip install -q -r site/requirements.txt
	site/mermaid.sh site/mermaid.min.js
	site/.venv/bin/mkdocs build -q --strict -f site/mkdocs.yml
	@echo "built bin/site; look at it: python3 -m http.server -d bin/site 8000"

screenshot: build ## docs/chat.png, taken by the browser test of the chat page
	cd interop/js && SCREENSHOT=$(CURDIR)/docs/chat.png node --test --test-timeout=120000 chat.test.js

lint: ## gofmt, go vet, staticcheck, errcheck, bodyclose, gosec and revive; and the words of documents, comments and texts
	$(GOLANGCI) run ./...
	go test -count=1 -run Words ./internal/documents

vulncheck: ## known vulnerabilities in what the binary uses; needs the vulnerability database, so it is for before a release
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

package: ## the binary, deb and rpm for this machine's kind of processor, in dist/
	PLATFORMS="$${PLATFORMS:-linux/$$(go env GOHOSTARCH)}" deploy/package/build.sh

package-test: package ## install the deb in a system of its own, and use the service; needs root and systemd
	TEST_DEB="$$(ls $(CURDIR)/dist/*_"$$(dpkg --print-architecture)".deb)" CGO_ENABLED=0 go test -count=1 -v ./deploy/package

dist: ## what a release has: binaries and packages for all platforms, in dist/
	deploy/package/build.sh

# A module of its own: Helm and others would be many dependencies of the broker.
deploy-test: ## the chart, the Compose files, the Dockerfiles and the release, with the tools that read them
	cd deploy/check && go test -count=1 ./...

fuzz: ## each fuzz target for 20 seconds
	go test ./frames -run '^$$' -fuzz '^FuzzDecode$$' -fuzztime 20s
	go test ./frames -run '^$$' -fuzz '^FuzzRoundTrip$$' -fuzztime 20s
	go test ./destination -run '^$$' -fuzz '^FuzzPattern$$' -fuzztime 20s
	go test ./auth -run '^$$' -fuzz '^FuzzToken$$' -fuzztime 20s
	go test ./auth -run '^$$' -fuzz '^FuzzTokenText$$' -fuzztime 20s
	go test ./auth -run '^$$' -fuzz '^FuzzKeySet$$' -fuzztime 20s
	go test ./relay -run '^$$' -fuzz '^FuzzSubject$$' -fuzztime 20s
	go test ./relay -run '^$$' -fuzz '^FuzzHeaders$$' -fuzztime 20s
	go test ./gateway -run '^$$' -fuzz '^FuzzSockJSMessages$$' -fuzztime 20s
	go test ./gateway -run '^$$' -fuzz '^FuzzUTF8Parts$$' -fuzztime 20s
	go test ./gateway -run '^$$' -fuzz '^FuzzInflater$$' -fuzztime 20s
	go test ./gateway -run '^$$' -fuzz '^FuzzEventsParameters$$' -fuzztime 20s
	go test ./httpapi -run '^$$' -fuzz '^FuzzSend$$' -fuzztime 20s
	go test ./internal/config -run '^$$' -fuzz '^FuzzLoad$$' -fuzztime 20s
	go test ./internal/clientaddr -run '^$$' -fuzz '^FuzzForwarded$$' -fuzztime 20s
	go test ./internal/clientaddr -run '^$$' -fuzz '^FuzzPROXYProtocol$$' -fuzztime 20s
	go test -race ./broker -run '^$$' -fuzz '^FuzzSession$$' -fuzztime 20s
	go test ./gateway -run '^$$' -fuzz '^FuzzWebSocketReader$$' -fuzztime 20s

# DURATION=3m is shorter; SEED=n repeats the schedule of a run that printed it.
chaos: build ## three nodes under load that are killed, paused and partitioned for 10 minutes; says what is lost or repeated
	go run ./internal/chaos -duration $${DURATION:-10m} -seed $${SEED:-0}

abuse: build ## one hostile address and one hostile user against a node with 200 clients, who must not notice; 4 minutes
	go run ./internal/abuse -each $${EACH:-6s}

soak: build ## clients that come and go on three nodes for 30 minutes; fails where what the nodes use grows
	go run ./internal/chaos -soak -duration $${DURATION:-30m}

bench: build ## the figures of docs/performance.md
	go test ./frames -run '^$$' -bench .
	bin/stompbox bench fanout
	bin/stompbox bench fanout --in-flight 1 --messages 200
	bin/stompbox bench pingpong
	bin/stompbox bench idle
	bin/stompbox bench private
	bin/stompbox bench queue
	bin/stompbox bench backlog
	bin/stompbox bench cluster
	bin/stompbox bench sse
	bin/stompbox bench tls
	bin/stompbox bench history
	bin/stompbox bench resume
	bin/stompbox bench app
	bin/stompbox bench scale
	bin/stompbox bench connections
	bin/stompbox bench connections --nodes 3 --connections 3000

# Some shells run no EXIT trap on a signal. BASE is a commit, tag or branch. ROUNDS and ONLY (such as fanout,queue) make it longer or shorter.
bench-guard: build ## compare this tree with a commit, BASE=v1.0.0, in turns; fails where CPU or memory is worse beyond noise
	@test -n "$(BASE)" || { echo "say which commit to compare with: make bench-guard BASE=<commit>"; exit 2; }
	@dir=$$(mktemp -d) && trap 'trap "" HUP INT TERM; git worktree remove --force "$$dir/base"; rm -rf "$$dir"' EXIT && \
	trap 'exit 129' HUP && trap 'exit 130' INT && trap 'exit 143' TERM && \
	git worktree add -q --detach "$$dir/base" "$(BASE)" && \
	(cd "$$dir/base" && go build -o "$$dir/stompbox" ./cmd/stompbox) && \
	bin/stompbox bench guard --base "$$dir/stompbox" --rounds $${ROUNDS:-7} --only "$${ONLY:-}"

# RabbitMQ and Redis are Debian's; without them the rest is measured.
bench-peers-setup: build
	mkdir -p bin/peers
	cd bench/peers && go build -o ../../bin/peers/ github.com/nats-io/nats-server/v2 github.com/centrifugal/centrifugo/v6
	cd bench/peers/js && npm ci --no-fund --no-audit
	mvn -B -ntp -q -f bench/peers/spring package
	mvn -B -ntp -q -f bench/peers/artemis package
	test -d /usr/lib/rabbitmq || apt-get install -y --no-install-recommends rabbitmq-server redis-server

bench-peers: bench-peers-setup ## other servers under the same loads, in turns: docs/benchmarks.md and its charts; takes an hour
	go run ./internal/bench/peers -rounds $${ROUNDS:-3} -write docs
	go run ./internal/bench/peers -rounds $${ROUNDS:-3} -recovery -write docs

interop-setup:
	cd interop/js && npm ci --no-fund --no-audit
	python3 -m venv interop/python/.venv && interop/python/.venv/bin/pip install -q -r interop/python/requirements.txt

interop: build interop-setup ## real STOMP clients in Node and Python, and the chat page in Chromium
	cd interop/js && npm test
	cd interop/python && .venv/bin/python -m unittest -v

interop-acme: ## certificates from Pebble, the test server of Let's Encrypt
	cd interop/acme && go test -count=1 ./...

interop-hidden: build interop-setup hidden-tab ## a tab of Chromium that is hidden for six minutes stays connected

hidden-tab:
	cd interop/js && HIDDEN_SECONDS=360 node --test hidden.test.js

interop-spring: build ## examples/spring, a Spring Boot app on the relay, and Spring's client; needs Maven and a JDK
	cd interop/spring && mvn -B -ntp -q test && cat target/surefire-reports/*.txt
