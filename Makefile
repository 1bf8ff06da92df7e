# supstream. `make help` lists the targets; variables can be given on the command line: make demo FOR=20s

GO      ?= go
FOR     ?=
PKG     ?= ./...
BIN     := bin/supstream
SHELL   := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/supstream
	$(GO) build -o $(BIN) ./cmd/supstream

.PHONY: setup
setup: ## Install what the tests need and the machine lacks (Debian packages)
	@.ci/setup

.PHONY: test
test: setup vet ## Run every check and every test (PKG=./agreements for one package)
	$(GO) test -timeout 25m $(PKG)

.PHONY: lint
lint: vet ## Run go vet, gofmt and the house rules
	$(GO) test -count=1 ./internal/lint

.PHONY: vet
vet: # go vet and gofmt
	$(GO) vet $(PKG)
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not gofmt'ed (make fmt):"; echo "$$bad"; exit 1; fi

.PHONY: fmt
fmt: ## Format the code
	gofmt -w .

.PHONY: demo
demo: setup build ## Show everything on a throw-away Postgres (FOR=20s ends by itself; data in ./demo-data)
	$(BIN) demo $(if $(FOR),--for $(FOR))

.PHONY: bench
bench: setup ## Measure throughput, latency and sizes on this machine
	$(GO) run ./internal/bench

.PHONY: torture
torture: setup ## Kill processes at random and compare (FOR=1h; 10 minutes unless said)
	SUPSTREAM_TORTURE=$(or $(FOR),10m) $(GO) test -count=1 -timeout 0 -v -run SurvivesKill ./internal/e2e

.PHONY: fuzz
fuzz: ## Fuzz every fuzz test in turn (FOR=1m each; 10 seconds unless said)
	@grep -rlE --include='*_test.go' '^func Fuzz' . | while read -r file; do \
	  grep -oE '^func Fuzz[A-Za-z0-9_]*' "$$file" | while read -r _ name; do \
	    echo "== $$(dirname "$$file") $$name"; \
	    $(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(or $(FOR),10s) "$$(dirname "$$file")"; \
	  done; \
	done

.PHONY: clean
clean: ## Remove what was built and what the demo left
	rm -rf bin demo-data bench-data torture-data
