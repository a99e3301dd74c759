SHELL := /bin/bash
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: rawnc deps check test soak bench bench-parts mutants

rawnc: # go build knows itself what is out of date
	go build -o rawnc ./cmd/rawnc

deps: # what the tests need
	bash .ci/install

check:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	GOOS=darwin go vet ./...
	GOOS=darwin go build ./...
	GOOS=windows go vet ./...
	GOOS=windows go build ./...
	GOARCH=386 go vet ./...

# Tests that need root are skipped without it; with CI=true they fail. Their
# network namespaces have no name, and so would stay with a process of theirs
# alone, which is known by its environment.
test: deps check
	@mark=RAWNC_TESTS=$$$$; \
	env $$mark go test -race -timeout 10m ./... || exit; \
	for try in 1 2 3 4 5; do \
		left=$$(grep --null-data --line-regexp --files-with-matches $$mark /proc/[0-9]*/environ 2>/dev/null); \
		[ "$$left" ] || exit 0; \
		sleep 1; \
	done; \
	echo "processes left behind: $$left"; exit 1

# Ten thousand connections at once, in memory and against the kernel. It takes a minute, and root.
soak:
	RAWNC_SOAK=1 go test -run TestSoak -v -count 1 ./rawtcp

# Renews the tables of docs/performance.md. It takes half an hour, and root.
BENCH = -into ../../docs/performance.md
bench: rawnc
	cd rawtcp/bench && go run . $(BENCH)

# What the parts take, for benchstat.
bench-parts:
	go test -run '^$$' -bench . -benchmem -count 6 ./stack ./stack/explain ./rawtcp/wire ./rawtcp/capture ./pcapout

# Breaks TCP in one place after the other; the tests must notice each time.
mutants:
	go run ./stack/mutation
