//! secuxflow on real traffic, in network namespaces. `README.md` beside this file draws the topology and says what each
//! test asserts. Everything here needs root: `scripts/test.sh` runs it.

mod daemon;
mod lab;
mod traffic;

mod accounting;
mod bad_input;
mod baseline;
mod chains;
mod egress;
mod fail;
mod idle;
mod inspection;
mod interfaces;
mod jumbo;
mod modules;
mod offload;
mod reject;
mod rules;
mod services;
mod sets;
mod transfer;
