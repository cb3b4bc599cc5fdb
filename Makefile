# The gates of crossrole. Needs Go, GNU Make 4.3, bash, and gcc for the race
# detector. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Every Go module of the repository, found by its go.mod.
MODULES := . $(patsubst %/go.mod,%,$(wildcard */go.mod */*/go.mod */*/*/go.mod))
# The modules with our code; the others pin the versions of tools.
CODE := $(filter-out tools tools/lint %/tool,$(MODULES))
# go mod tidy downloads the dependencies of a module and those of their tests. For the
# linter that is 365 MB, so only `make lint` tidies the linter's module.
TIDY := $(filter-out tools/lint,$(MODULES))

PLATFORMS := linux/arm64 linux/arm darwin/arm64 windows/amd64
FUZZTIME ?= 20s

STATICCHECK := go tool -modfile=$(CURDIR)/tools/go.mod staticcheck
GOFILES = find . -name '*.go' -not -path '*/.*' -not -path '*/node_modules/*'

# $(call gate,what it does) prints the first line of a gate, by which .ci/run times it.
gate = printf '== %s: %s\n' '$@' '$(1)'
# $(call fail,what to do) prints the last line of a failed gate, and fails.
fail = { printf 'FAIL %s: %s\n' '$@' '$(1)' >&2; exit 1; }

## help: print this list
.PHONY: help
help:
	@sed -n 's/^## \([a-z0-9-]*\): /\1\t/p' Makefile | expand -t 16

## test: all tests of the library, without network
.PHONY: test
test:
	@go test ./...

## check: the gates of CI, about 3 minutes the first time
.PHONY: check
check: check-format check-house check-sleep check-tidy check-fix check-vet check-static check-platforms check-examples check-race
	@echo 'ok: all gates'

.PHONY: check-format
check-format:
	@$(call gate,gofmt: every file has the standard format)
	found=$$($(GOFILES) -exec gofmt -l {} +) || $(call fail,fix the syntax error above)
	[[ -z $$found ]] || { echo "$$found"; $(call fail,run: gofmt -w on the files above); }

.PHONY: check-house
check-house:
	@$(call gate,the methods of a type are together and every long file says what it is for)
	go test -count=1 -run '^TestHouse$$' . || $(call fail,move the methods or add the comment that is missing (see Layout in CONTRIBUTING.md))

# The word synctest must appear in the function before the sleep, or in the function's
# comment if it is called from a bubble.
.PHONY: check-sleep
check-sleep:
	@$(call gate,no test outside e2e and bench sleeps on the wall clock)
	found=$$($(GOFILES) -name '*_test.go' -not -path './e2e/*' -not -path './bench/*' -exec awk '
		FNR == 1 || /^[})]/ { bubble = 0 }
		/synctest/ { bubble = 1 }
		/time\.Sleep\(/ && !bubble { print FILENAME ":" FNR ": " $$0 }' {} +)
	[[ -z $$found ]] || { echo "$$found"; $(call fail,wait for an event or run the test in synctest.Test (see CONTRIBUTING.md)); }

.PHONY: check-tidy
check-tidy:
	@$(call gate,go mod tidy: go.mod and go.sum list exactly what each module uses: $(TIDY))
	for m in $(TIDY); do
		(cd $$m && go mod tidy -diff) || $(call fail,run: (cd '$$m' && go mod tidy))
	done

.PHONY: check-fix
check-fix:
	@$(call gate,go fix: the code uses current Go idioms)
	for m in $(CODE); do
		found=$$(cd $$m && go fix -diff ./...) || [[ -n $$found ]] || $(call fail,fix what does not compile (module '$$m'))
		[[ -z $$found ]] || { echo "$$found"; $(call fail,run: (cd '$$m' && go fix ./...)); }
	done

.PHONY: check-vet
check-vet:
	@$(call gate,go vet: no suspicious constructs)
	for m in $(CODE); do
		(cd $$m && go vet ./...) || $(call fail,fix what vet reports above (module '$$m'))
	done

.PHONY: check-static
check-static:
	@$(call gate,staticcheck: no bugs or dead code that it can find)
	for m in $(CODE); do
		(cd $$m && $(STATICCHECK) ./...) || $(call fail,fix what staticcheck reports above (module '$$m'))
	done

# go vet instead of go build, because vet compiles the tests too.
.PHONY: check-platforms
check-platforms:
	@$(call gate,the library and its tests compile for $(PLATFORMS))
	for p in $(PLATFORMS); do
		GOOS=$${p%/*} GOARCH=$${p#*/} go vet ./... || $(call fail,fix what does not compile for '$$p')
	done

.PHONY: check-examples
check-examples:
	@$(call gate,the tests of the examples and tools that are modules of their own)
	for m in $(filter examples/% tools/%,$(CODE)); do
		(cd $$m && go test ./...) || $(call fail,fix the test above (module '$$m'))
	done

.PHONY: check-race
check-race:
	@$(call gate,all tests in random order under the race detector)
	go test -race -shuffle=on ./... || $(call fail,fix the test above; to repeat its order: go test -race -shuffle=N PACKAGE with the N that is printed after -test.shuffle)

## fuzz: every fuzz target for FUZZTIME (20s)
.PHONY: fuzz
fuzz:
	@$(call gate,every fuzz target for $(FUZZTIME))
	.ci/fuzz $(FUZZTIME) || $(call fail,fix the failure above and commit the fix with the failing input that is now in testdata/fuzz)

# $(call suite,pattern,packages,programs,how to install them) runs one suite of the
# e2e module.
define suite
$(call gate,the tests $(1) against third-party servers and clients)
for p in $(3); do
	command -v $$p >/dev/null || $(call fail,$(4))
done
cd e2e
[[ $$(go test -list '$(1)' $(2)) == Test* ]] || $(call fail,no test in e2e/$(2) matches $(1): update the suite in the Makefile)
go test -count=1 -timeout=25m -run '$(1)' $(2) || $(call fail,fix the test above; the end of each server log is printed with it)
endef

## e2e-ceph: both routes against Ceph's gateway; as root
.PHONY: e2e-ceph
e2e-ceph:
	@$(call suite,^TestCeph,. ./conformance,radosgw ceph-mon ceph-osd ceph,install the Debian packages radosgw ceph-mon ceph-osd ceph-common)

## e2e-versitygw: S3 and STS of versitygw (its first build takes 2 minutes)
.PHONY: e2e-versitygw
e2e-versitygw:
	@$(call suite,^TestVersity,./versity ./conformance)

## e2e-clients: the AWS CLI, SDKs of four languages, rclone, Chromium and curl against awstest
.PHONY: e2e-clients
e2e-clients:
	@$(call suite,^TestClients,./clients ./conformance,aws node npm python3 ruby rclone chromium curl jq,install the Debian packages awscli nodejs npm python3-boto3 python3-awscrt ruby-aws-sdk-s3 rclone chromium curl jq)

## e2e-observe: the alert rules, evaluated by Prometheus' own engine
.PHONY: e2e-observe
e2e-observe:
	@$(call gate,each alert fires when it should and only then)
	cd e2e/observe && go test -count=1 ./... || $(call fail,fix examples/deploy/alerts.yaml or credentials/metrics)

# The first run on a machine builds the servers, which takes minutes.
KUBERNETES := ./kubernetes -timeout=45m
CEPH := radosgw ceph-mon ceph-osd ceph
CEPH_PACKAGES := install the Debian packages radosgw ceph-mon ceph-osd ceph-common

## e2e-kubernetes: tokens from a real API server and kubelet, drills, soak; as root
.PHONY: e2e-kubernetes
e2e-kubernetes:
	@$(call suite,^TestKubernetes,$(KUBERNETES) -drills=$(CURDIR)/e2e/README.md,$(CEPH),$(CEPH_PACKAGES))

## e2e-bluegreen: a program moves to a cluster with another issuer; as root
.PHONY: e2e-bluegreen
e2e-bluegreen:
	@$(call suite,^TestBlueGreen,$(KUBERNETES),$(CEPH),$(CEPH_PACKAGES))

## e2e-rotation: kubelet replaces a token on its own schedule, after 8 minutes; as root
.PHONY: e2e-rotation
e2e-rotation:
	@$(call suite,^TestNaturalRotation,$(KUBERNETES),$(CEPH),$(CEPH_PACKAGES))

## e2e: every suite against real servers and clients except Kubernetes
.PHONY: e2e
e2e: e2e-ceph e2e-versitygw e2e-clients e2e-observe

SOAK ?= 1h

## e2e-soak: 200 readers and 20 sidecars with faults for SOAK (1h); writes bin/soak/soak.png
.PHONY: e2e-soak
e2e-soak:
	@$(call gate,soak: for $(SOAK) no read fails without a reason and nothing grows)
	mkdir -p bin/soak
	cd e2e
	go test -count=1 -v -timeout=0 -run '^TestSoak' ./soak -soak=$(SOAK) -out=$(CURDIR)/bin/soak || $(call fail,see the reads and figures above; the samples are in bin/soak/soak.csv)

SEEDS ?= 200

## soak: SEEDS (200) days of faults in virtual time, about a minute
.PHONY: soak
soak:
	@$(call gate,both routes keep their guarantees through $(SEEDS) seeded days of faults)
	go test ./credentials -run '^TestSoak$$' -soak.seeds=$(SEEDS) || $(call fail,replay the seed named above: go test ./credentials -run '^TestSoak$$' -soak.seed=N)

## bench: quick figures compared with the SDK and minio-go (for all: cd bench && go run .)
.PHONY: bench
bench:
	@cd bench && go run . -quick

## lint: golangci-lint (not in CI: building it takes minutes)
.PHONY: lint
lint:
	@$(call gate,golangci-lint: the linters of .golangci.yml find nothing)
	(cd tools/lint && go mod tidy -diff) || $(call fail,run: (cd tools/lint && go mod tidy))
	for m in $(CODE); do
		(cd $$m && go tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint run --config=$(CURDIR)/.golangci.yml ./...) ||
			$(call fail,fix what is reported above (module '$$m'))
	done

## deadcode: functions that no test, example or command calls
.PHONY: deadcode
deadcode:
	@$(call gate,deadcode: every function is reachable from a test or a command)
	found=$$(go tool -modfile=$(CURDIR)/tools/go.mod deadcode -test ./...)
	[[ -z $$found ]] || { echo "$$found"; $(call fail,test or remove the functions above); }

## vuln: known vulnerabilities in our dependencies (not in CI: reads the Go vulnerability database)
.PHONY: vuln
vuln:
	@cd tools/release && go run . -root=$(CURDIR) vuln

## release-check: checks and builds a release (VERSION=v1.2.3; BASE=commit to compare the API with)
.PHONY: release-check
release-check:
	@$(call gate,release: what must hold before a tag; writes dist)
	cd tools/release && go run . -root=$(CURDIR) -version='$(VERSION)' -base='$(BASE)' || $(call fail,fix the steps that are listed above)
