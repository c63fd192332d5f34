# make demo    see it work            make test    prove it works
# make help    everything else
#
# On a fresh Debian with only git, make and a stable toolchain from rustup, either does all that is needed: `make deps` brings the rest.

# Fresh installations of rustup are often not in PATH yet.
CARGO ?= $(or $(shell command -v cargo 2>/dev/null),$(HOME)/.cargo/bin/cargo)
# The lab and the fuzz targets are packages of their own; one target folder serves all, so that what they share is built once.
LAB = --manifest-path tests/lab/Cargo.toml --target-dir target
FUZZ = --manifest-path fuzz/Cargo.toml --target-dir target
DPISCOPE = target/release/dpiscope

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

# libc6-dev: ring and liblzma compile C against it, and it brings the linker's start files. libpcap-dev: interfaces, -f and the benches' baseline.
DEBIAN_PACKAGES = gcc libc6-dev libpcap-dev
CAN_LINK = printf '\#include <stdlib.h>\n\#include <pcap/pcap.h>\nint main(void) { return pcap_lib_version() == NULL; }\n' \
	| cc -x c - -o /dev/null -lpcap 2>/dev/null

.PHONY: deps
deps: ## install what is missing (as root on Debian), or say what is missing
	@$(CARGO) --version >/dev/null 2>&1 || { \
		echo "missing: a stable Rust toolchain (cargo); https://rustup.rs brings it" >&2; exit 1; }
	@if $(CAN_LINK); then exit 0; fi; \
	command='apt-get update && apt-get install -y --no-install-recommends $(DEBIAN_PACKAGES)'; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing $(DEBIAN_PACKAGES)"; \
		export DEBIAN_FRONTEND=noninteractive; \
		eval "$$command" </dev/null || exit 1; \
		if $(CAN_LINK); then exit 0; fi; \
		echo "installed, and still no C program links against libpcap: cc -x c - -lpcap shows why" >&2; exit 1; \
	fi; \
	command -v cc >/dev/null || echo "missing: a C compiler (cc)" >&2; \
	echo "missing: C headers or libpcap and its headers" >&2; \
	echo "on Debian and Ubuntu: sudo sh -c '$$command'" >&2; exit 1

.PHONY: build
build: deps ## the release binary, target/release/dpiscope
	$(CARGO) build --release --locked --bin dpiscope

.PHONY: demo
demo: build ## analyze the capture that is built in
	$(DPISCOPE) demo

.PHONY: test
test: deps ## all tests (DPISCOPE_CORPUS=DIR adds those over real captures)
	@[ -n "$$DPISCOPE_CORPUS" ] || echo "not run: tests over real captures need DPISCOPE_CORPUS=DIR"
	$(CARGO) test --locked --no-fail-fast

.PHONY: lint
lint: deps ## formatting, clippy without a warning, and the build without libpcap
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path tests/lab/Cargo.toml
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --locked --all-targets $(LAB) -- -D warnings
	@if command -v c++ >/dev/null; then set -x; $(CARGO) clippy --locked $(FUZZ) -- -D warnings; \
		else echo "fuzz: not checked: needs a C++ compiler for libFuzzer (apt-get install g++)"; fi

.PHONY: doc
doc: deps ## the library's documentation, without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

# Puts what standard input says between two marked lines of a document.
QUOTE = sh -c 'cat >target/quoted && sed -i -e "/^<!-- $$1: make docs -->$$/,/^<!-- end of $$1 -->$$/ { /^<!-- /!d }" \
	-e "/^<!-- $$1: make docs -->$$/ r target/quoted" "$$2"' quote

.PHONY: docs
docs: deps ## bring what README.md and docs/ quote from the program up to date
	$(CARGO) build --locked --bin dpiscope
	{ echo '```'; target/debug/dpiscope demo; echo '```'; } | $(QUOTE) demo README.md
	target/debug/dpiscope explain --markdown | $(QUOTE) rules docs/detection.md

.PHONY: bench
bench: deps ## what each stage costs, and the whole beside the bare libpcap loop (minutes)
	$(CARGO) bench --locked

.PHONY: bench-full
bench-full: deps ## the whole on full-size captures (2 GB of disk at a time)
	DPISCOPE_BENCH_SCALE=1 $(CARGO) bench --locked --bench whole

.PHONY: lab
lab: deps ## record the lab's scenarios (root, network namespaces; about eleven minutes)
	$(CARGO) run --release --locked $(LAB) -- run --out target/lab --seed 1 --jobs 8

.PHONY: accuracy
accuracy: build ## hold the analyzer's reports against the truth of target/lab
	$(CARGO) run --release --locked $(LAB) -- score --out target/lab --analyzer '$(DPISCOPE) analyze --format json --flows {file}'

.PHONY: clean
clean: ## remove what was built
	$(CARGO) clean
