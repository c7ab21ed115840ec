# make shows the targets.
.DEFAULT_GOAL := help
.PHONY: help setup build run test lint fuzz bench interop interop-setup

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## fetch the Go modules
	go mod download

build: ## build bin/stompbox
	go build -o bin/stompbox ./cmd/stompbox

run: ## run the broker in development mode
	go run ./cmd/stompbox serve --dev

# Packages run one after the other: their tests open thousands of connections.
test: ## all Go tests with the race detector; needs Go alone
	go test -race -p 1 ./...

lint: ## gofmt, go vet and staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go tool staticcheck ./...

fuzz: ## each fuzz target for 20 seconds
	go test ./frames -run '^$$' -fuzz '^FuzzDecode$$' -fuzztime 20s
	go test ./frames -run '^$$' -fuzz '^FuzzRoundTrip$$' -fuzztime 20s
	go test ./auth -run '^$$' -fuzz '^FuzzPattern$$' -fuzztime 20s
	go test ./relay -run '^$$' -fuzz '^FuzzSubject$$' -fuzztime 20s

bench: build ## the figures of docs/performance.md
	go test ./frames -run '^$$' -bench .
	bin/stompbox bench fanout
	bin/stompbox bench fanout --in-flight 1 --messages 200
	bin/stompbox bench pingpong
	bin/stompbox bench idle

interop-setup:
	cd interop/js && npm ci --no-fund --no-audit

interop: build interop-setup ## real STOMP clients in Node, and the chat page in Chromium
	cd interop/js && npm test
