# Everything a newcomer needs: make demo, make test. `make help` lists the rest.
.POSIX:
.PHONY: help deps demo test lint bench fixtures release musl deb test-release

DEMO = demo/fmp4-separate-audio.mp4

help: ## This list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

deps: ## Install what is missing to build (libav's headers, pkg-config, libclang) and to test, Chromium too
	@sh scripts/deps.sh

demo: ## Build the command, merge a fixture into demo/, print its report
	@sh scripts/deps.sh --build
	cargo build --release --locked
	@mkdir -p demo
	cargo run --release --locked --quiet -- merge fixtures/fmp4-separate-audio/index.m3u8 -o $(DEMO) -y --json

test: deps ## Run all tests
	cargo test --locked

lint: deps ## Check formatting, lints, layering, documentation and licences
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	cargo check --locked --lib --no-default-features
	cargo test --locked --test layering
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --lib
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo 'cargo-deny is not installed: licences and advisories were not checked'; fi

bench: deps ## Measure merging
	cargo bench --locked --features bench

fixtures: ## Make fixtures/ again (needs the ffmpeg command, openssl and python3)
	bash fixtures/make.sh

release: ## Build dist/avweld, one file with libav in it (Debian; brings libav's source with apt)
	sh scripts/release/build.sh

musl: ## The same with musl for its C library: dist/avweld-musl
	sh scripts/release/build.sh x86_64-unknown-linux-musl

deb: release ## Build dist/*.deb of the release (needs cargo-deb)
	sh scripts/release/deb.sh

test-release: release ## Run the command's tests against dist/avweld, and those of the library with its libav
	sh scripts/release/test.sh
