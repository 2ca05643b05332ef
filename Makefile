# Targets for people and for CI; `make help` lists them. What they install goes to .cache/ (see testenv/setup.sh).

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LISTEN   ?= 127.0.0.1:8005
FUZZTIME ?= 30s
SOAKTIME ?= 10m
BENCH    ?= .

GO      := go
# The same flags everywhere, so that tests, linters and the binary share what is compiled.
export GOFLAGS += -trimpath
LDFLAGS := -s -w -X main.version=$(VERSION)
# Packages whose tests are cheap enough to run under the race detector.
RACE_PACKAGES  = $(shell $(GO) list ./... | grep '/internal/')
OTHER_PACKAGES = $(shell $(GO) list ./... | grep -v '/internal/')

.DEFAULT_GOAL := help
.PHONY: help build web binary run test lint fuzz damage soak bench bench-sensor microbench fmt setup spi-score

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: web ## build the GUI and bin/wirelake
	$(MAKE) --no-print-directory binary

binary:
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/wirelake

web: ## build the GUI into web/dist (without npm: the binary shows a page that says how)
	@if command -v npm >/dev/null; then testenv/setup.sh web && npm --prefix web run --silent build; \
	else echo "npm is missing: bin/wirelake will have no GUI" >&2; fi

run: build ## start wirelake on a local store with a sample capture, and print the URL
	bin/wirelake up --store file://$(CURDIR)/.wirelake --listen $(LISTEN) --import testenv/sample/sample.pcap.gz

setup: ## install what tests and linters need and is missing
	testenv/setup.sh

test: setup build ## run all tests, with real MinIO, Elasticsearch and Chromium
	npm --prefix web run --silent --if-present test
	$(GO) vet ./...
	$(GO) test -p 2 -timeout 60m -race $(RACE_PACKAGES)
	$(GO) test -p 2 -timeout 60m $(OTHER_PACKAGES)

lint: ## run golangci-lint, tsc and eslint
	testenv/setup.sh lint web
	.cache/bin/golangci-lint run --allow-serial-runners ./...
	npm --prefix web run --silent lint

fuzz: ## fuzz each target for FUZZTIME (30s)
	FUZZTIME=$(FUZZTIME) testenv/fuzz.sh

damage: ## cut the packets of all captures at every length, and the files at every byte
	$(GO) test ./internal/session -run 'TestCorpusCut|TestDamagedCorpus' -v -count 1 -timeout 30m -every-cut

soak: ## run sensor, compactor and query for SOAKTIME (10m) with faults at random, and strike the balance of packets (root)
	testenv/setup.sh minio packages
	$(GO) test ./testenv/soak -run TestSoak -v -count 1 -timeout 0 -soak.time $(SOAKTIME) $(SOAK_OPTIONS)

bench: ## measure wirelake beside yardsticks of the same run (BENCH_OPTIONS: see testenv/bench)
	testenv/setup.sh minio elasticsearch venv
	$(GO) run ./testenv/bench $(BENCH_OPTIONS)

bench-sensor: ## measure capturing, sealing and uploading beside tcpdump -w (root; BENCH_OPTIONS: see testenv/benchsensor)
	testenv/setup.sh packages minio
	$(GO) run ./testenv/benchsensor $(BENCH_OPTIONS)

microbench: ## run the benchmarks of the packages (BENCH: a regular expression of names)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

spi-score: binary ## score session documents against the reference corpus in ../shared
	testenv/spi-score.sh $(SPI_SCORE_OPTIONS)

fmt: ## format Go and TypeScript
	.cache/bin/golangci-lint fmt
	npm --prefix web run --silent --if-present fmt
