# Commands for developers. `make help` lists the targets with the comments after `##`.
.DEFAULT_GOAL := help
.PHONY: help setup build release feature packages reproduce run test test-fast soak fuzz bench docs lint fmt deny clean

ARCHS := x86_64 aarch64
target := $(or $(CARGO_TARGET_DIR),target)
# These need only the package registry; `make deny CHECKS=advisories` also fetches the advisories.
CHECKS := bans licenses sources

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install the dependencies for building and testing
	scripts/setup

build: ## build debug programs for this machine
	scripts/setup build
	cargo build --locked --bins

release: ## build static release programs for this machine, manual pages and shell completions
	scripts/setup build
	scripts/build-static
	cargo run --locked --example manual -- $(target)/static/share

feature: ## create the Dev Container Feature in dist/registry-agent, for the architectures ARCHS, and its archive
	scripts/setup feature
	scripts/build-static $(ARCHS)
	cargo run --locked --example manual -- $(target)/static/share
	scripts/feature $(ARCHS)

packages: feature ## create deb and rpm packages, archives, an SBOM and checksums in dist/packages
	scripts/setup packages
	scripts/packages $(ARCHS)
	scripts/sbom

reproduce: ## build the packages again in another directory, and compare the bytes
	scripts/reproduce $(ARCHS)

run: ## run the agent and show a login, until Ctrl-C
	scripts/run

test: ## run all tests, including those with containers, and print the totals
	scripts/test

test-fast: ## run the tests that need no docker engine
	@if cargo nextest --version > /dev/null 2>&1; then cargo nextest run --locked; else cargo test --locked; fi

fuzz: ## search for inputs that break a property, five minutes each: `make fuzz TARGETS=server`
	scripts/fuzz $(TARGETS)

soak: ## mix all faults for MINUTES=60, repeatable by SEED=1, and print what was lost; WRITE_DOCS=1 shows it in docs/reliability.md
	SOAK_MINUTES=$(or $(MINUTES),60) SOAK_SEED=$(or $(SEED),1) cargo test --locked --test it -- \
		--ignored --nocapture --exact soak::known_credentials_are_answered_through_every_fault

bench: ## run the benchmarks and draw the plots in docs/
	cargo bench --locked

docs: ## write docs/troubleshooting.md and tests/it/transcripts, and the tables of clients from the results of the last `make test`
	WRITE_DOCS=1 cargo test --locked --test it the_troubleshooting_document_is_current
	WRITE_DOCS=1 cargo test --locked --test it the_commands_print_what_the_transcripts_show
	WRITE_DOCS=1 cargo test --locked --test it the_table_of_package_clients_is_current
	if [ -f $(target)/clients.md ]; then cp $(target)/clients.md docs/clients.md; fi

lint: ## check formatting, clippy, shell scripts and dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	shellcheck -x install.sh feature/entrypoint feature/hook packaging/s6/run scripts/* tests/feature/*.sh .ci/run
	$(MAKE) --no-print-directory deny

fmt: ## format the code
	cargo fmt

deny: ## check licences, sources and duplicates of dependencies
	@cargo deny --version > /dev/null 2>&1 || [ -x $(target)/tools/bin/cargo-deny ] || \
		cargo install --locked --root $(target)/tools cargo-deny@0.20.2
	PATH=$(abspath $(target)/tools/bin):$$PATH cargo deny check $(CHECKS)

clean: ## remove everything that was built or installed in this directory
	cargo clean
	rm -rf dist
